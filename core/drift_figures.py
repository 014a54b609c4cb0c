"""Plotly figures of drift: the map of texts, the shares of its clusters in both windows, the days to choose from, a stream of errors."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt
import plotly.graph_objects as go

from core.calibration_figures import COLOURS, style
from core.change_points import rolling
from core.estimate import Estimate
from core.figures import CLEAR, row_figure
from core.populations import Window
from core.ratings import FloatArray
from core.two_samples import BoolArray

DENSE = 100_000
"""Points beyond which a map shows how many there are instead of each."""
CELLS = 160
"""Of a dense map, to a side."""
EARLIER, LATER, BAD = COLOURS[0], COLOURS[1], "#D1495B"
FAINT = "rgba(128,128,128,0.35)"
Points = npt.NDArray[np.float32]
Polygon = Sequence[tuple[float, float]]


def map_figure(
    point: Points,
    groups: Mapping[str, tuple[BoolArray, str]],
    marks: Sequence[Mapping[str, Any]],
    height: int = 560,
) -> go.Figure:
    """Texts where they are on the map, each group of them in its colour, and the names of some clusters.

    ``point``: shape (n, 2). ``groups``: by name, which rows and their colour. ``marks``: ``x``, ``y``, ``name``, ``cluster``. A point's
    ``customdata`` is its row, a name's is minus one less its cluster, so that nothing but numbers goes to the browser. More than DENSE
    points are drawn as their density, each group over the last; one point of every cell, unseen, is there to be clicked or drawn around.
    """
    figure = go.Figure()
    dense = len(point) > DENSE
    size = float(np.interp(len(point), [500, 5000, 50_000], [7, 4.5, 3]))
    for name, (rows, colour) in groups.items():
        if dense:
            figure.add_trace(_density(point, rows, name, colour))
            continue
        figure.add_scattergl(
            name=name,
            x=point[rows, 0],
            y=point[rows, 1],
            mode="markers",
            marker={
                "size": size,
                "color": colour,
                "opacity": 0.7 if colour != FAINT else 1.0,
                "line": {"width": 0},
            },
            customdata=np.flatnonzero(rows).astype(np.int32),
            hoverinfo="skip",
        )
    if dense:
        figure.add_trace(_one_a_cell(point))
    figure.add_scatter(
        x=[mark["x"] for mark in marks],
        y=[mark["y"] for mark in marks],
        mode="text",
        text=[mark["name"] for mark in marks],
        textposition="top center",
        cliponaxis=False,
        textfont={"size": 12},
        customdata=[-1 - mark["cluster"] for mark in marks],
        hoverinfo="skip",
        showlegend=False,
    )
    style(figure, height).update_layout(
        dragmode="lasso",
        legend={"itemsizing": "constant", "x": 0, "xanchor": "left"},
        margin={"l": 40, "r": 40},
        uirevision="map",
    )
    figure.update_xaxes(visible=False)
    return figure.update_yaxes(visible=False, scaleanchor="x")


def _density(point: Points, rows: BoolArray, name: str, colour: str) -> go.Heatmap:
    ends = [(float(axis.min()), float(axis.max()) + 1e-6) for axis in point.T]
    counts, x, y = np.histogram2d(point[rows, 0], point[rows, 1], bins=CELLS, range=ends)
    shown = np.log1p(counts.T)
    return go.Heatmap(
        name=name,
        x=(x[:-1] + x[1:]) / 2,
        y=(y[:-1] + y[1:]) / 2,
        z=np.where(shown > 0, shown, np.nan),
        customdata=counts.T,
        colorscale=[[0, CLEAR], [0.15, colour], [1, colour]],
        opacity=0.75,
        showscale=False,
        showlegend=True,
        hovertemplate=f"{name}: %{{customdata:,}}<extra></extra>",
    )


def _one_a_cell(point: Points) -> go.Scattergl:
    low, high = point.min(0), point.max(0)
    cell = ((point - low) / (high - low + 1e-6) * CELLS).astype(np.int64) @ np.array([CELLS, 1])
    _, rows = np.unique(cell, return_index=True)
    return go.Scattergl(
        x=point[rows, 0],
        y=point[rows, 1],
        mode="markers",
        marker={"opacity": 0},
        customdata=rows.astype(np.int32),
        hoverinfo="skip",
        showlegend=False,
    )


def inside(point: Points, polygon: Polygon) -> BoolArray:
    """Which points are within a polygon, by the even-odd rule; shape (n,)."""
    x, y = point[:, 0], point[:, 1]
    found = np.zeros(len(point), dtype=bool)
    corners = np.asarray(polygon, dtype=np.float64)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        crosses = (y0 > y) != (y1 > y)
        if y1 != y0:
            found ^= crosses & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    return found


def shares_figure(
    names: Sequence[str], before: Sequence[Estimate], after: Sequence[Estimate], windows: tuple[str, str]
) -> go.Figure:
    """A figure of clusters in both windows, each with its interval, a row a cluster."""
    figure = row_figure(names)
    for window, estimates, colour, shift in zip(
        windows, (before, after), (EARLIER, LATER), (0.13, -0.13), strict=True
    ):
        known = [(place, e) for place, e in enumerate(estimates) if e.value is not None]
        low = [(e.value or 0) - (e.low if e.low is not None else e.value or 0) for _, e in known]
        high = [(e.high if e.high is not None else e.value or 0) - (e.value or 0) for _, e in known]
        figure.add_scatter(
            name=window,
            x=[e.value for _, e in known],
            y=[place - shift for place, _ in known],
            mode="markers",
            marker={"size": 9, "color": colour},
            cliponaxis=False,
            error_x={
                "type": "data",
                "symmetric": False,
                "array": high,
                "arrayminus": low,
                "thickness": 2,
                "width": 0,
            },
            customdata=[
                [names[place], (e.value or 0) - a, (e.value or 0) + b, f"{e.n:,}"]
                for (place, e), a, b in zip(known, low, high, strict=True)
            ],
            hovertemplate="%{customdata[0]}<br>%{x:.1%} (%{customdata[1]:.1%} to %{customdata[2]:.1%})<br>of %{customdata[3]}"
            f"<extra>{window}</extra>",
        )
    figure.update_layout(height=90 + 30 * len(names))
    figure.update_xaxes(tickformat=".0%", rangemode="tozero")
    return figure.update_yaxes(
        type="linear",
        tickvals=list(range(len(names))),
        ticktext=list(names),
        categoryarray=None,
        categoryorder=None,
        showgrid=False,
        zeroline=False,
    )


def days_figure(
    days: Sequence[tuple[date, int]], windows: tuple[Window, Window], names: tuple[str, str]
) -> go.Figure:
    """How much there is on each day, the days of both windows in their colours."""
    figure = go.Figure()
    which = [
        next((i for i, window in enumerate(windows) if window.first <= day <= window.last), None)
        for day, _ in days
    ]
    for place, name, colour in ((0, names[0], EARLIER), (1, names[1], LATER), (None, "in neither", FAINT)):
        some = [one for one, at in zip(days, which, strict=True) if at == place]
        figure.add_bar(
            name=name,
            x=[day for day, _ in some],
            y=[n for _, n in some],
            marker={"color": colour, "line": {"width": 0}},
            hovertemplate="%{x|%Y-%m-%d}<br>%{y:,}<extra></extra>",
        )
    style(figure, 190).update_layout(bargap=0.15, barmode="overlay")
    return figure.update_xaxes(type="date")


def stream_figure(
    times: npt.NDArray[np.datetime64],
    wrong: FloatArray,
    changes: Sequence[Mapping[str, Any]],
) -> go.Figure:
    """The error rate of the latest outcomes along time, and the changes that were found; ``wrong``: in order, shape (n,), n > 0."""
    span, rate = rolling(wrong)
    drawn = slice(None, None, max(1, len(rate) // 2000))
    figure = go.Figure()
    figure.add_scatter(
        x=times[span - 1 :][drawn],
        y=rate[drawn],
        mode="lines",
        line={"color": EARLIER, "width": 1.5},
        name=f"of the latest {span}",
        hovertemplate="%{x|%Y-%m-%d %H:%M}<br>%{y:.1%}<extra></extra>",
    )
    for number, change in enumerate(changes):
        figure.add_vline(x=change["found_at"], line={"color": BAD, "width": 2})
        figure.add_vrect(
            x0=change["since_at"], x1=change["found_at"], fillcolor=BAD, opacity=0.12, line_width=0
        )
        figure.add_scatter(
            x=[change["found_at"]],
            y=[None],
            mode="lines",
            line={"color": BAD, "width": 2},
            name="alarm",
            showlegend=not number,
        )
    style(figure, 260)
    return figure.update_yaxes(title="Error rate", tickformat=".0%", rangemode="tozero")
