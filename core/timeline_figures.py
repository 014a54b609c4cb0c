"""Plotly figures of a timeline: how much in each window, and shares with their intervals."""

from collections.abc import Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from core.calibration_figures import COLOURS, FAINT, FEW, limits_of, style, with_intervals
from core.estimate import Estimate
from core.figures import GREY
from core.held_out import Times
from core.ratings import IntArray

MOST = len(COLOURS)
"""Lines at most."""
OTHERS = "Others"
"""What the rest is called."""


def counts_figure(starts: Times, names: Sequence[str], counts: IntArray) -> go.Figure:
    """A bar for each window, stacked by group; ``counts``: shape (groups, windows). A point's ``customdata`` begins with its group
    and its window."""
    figure = go.Figure()
    for i, (name, of) in enumerate(zip(names, counts, strict=True)):
        figure.add_bar(
            name=escape(name),
            x=starts,
            y=of,
            marker={"color": FAINT if name == OTHERS else COLOURS[i % MOST], "line": {"width": 0}},
            customdata=[[i, at, moment(start), _told(name)] for at, start in enumerate(starts)],
            hovertemplate="%{customdata[3]}%{customdata[2]}: %{y:,}<extra></extra>",
            showlegend=len(names) > 1,
        )
    figure.update_layout(barmode="stack", bargap=0.25)
    return _dated(figure, starts).update_yaxes(title="Annotations", tickformat=",d")


def shares_figure(
    starts: Times, names: Sequence[str], estimates: Sequence[Sequence[Estimate]], title: str, even: bool
) -> go.Figure:
    """A line for each group, with the interval of each window; ``even``: where 1/2 means no preference, a line there.
    ``customdata`` as in ``counts_figure``."""
    figure = go.Figure()
    if even:
        figure.add_hline(y=0.5, line={"color": GREY, "width": 1.5, "dash": "dot"})
    times = starts.astype("datetime64[s]")
    step = np.diff(times).min() if len(times) > 1 else np.timedelta64(1, "D")
    for i, (name, of) in enumerate(zip(names, estimates, strict=True)):
        apart = (0.08 * (i - (len(names) - 1) / 2) * step.astype(float)).round()
        line = with_intervals(times + np.timedelta64(int(apart), "s"), of, COLOURS[i % MOST])
        figure.add_trace(
            line.update(
                name=escape(name),
                customdata=[
                    [i, at, moment(starts[at]), _told(name), _span(e), f"{e.n:,}"] for at, e in enumerate(of)
                ],
                hovertemplate="%{customdata[3]}%{customdata[2]}: %{y:.1%} (%{customdata[4]})"
                "<br>%{customdata[5]} annotations<extra></extra>",
                showlegend=len(names) > 1,
            )
        )
    return _dated(figure, starts).update_yaxes(title=title, tickformat=".0%")


def moment(start: np.datetime64) -> str:
    """The start of a window in words: a day, or a day and an hour."""
    return str(start).replace("T", " ") + (":00" if "T" in str(start) else "")


def _dated(figure: go.Figure, starts: Times) -> go.Figure:
    style(figure, 360)
    if 0 < len(starts) <= FEW:
        figure.update_xaxes(tickvals=starts, ticktext=[moment(start) for start in starts])
    return figure.update_xaxes(type="date", gridcolor=FAINT)


def _told(name: str) -> str:
    """A name before its figures."""
    return "" if name == "All" else f"{escape(name)}<br>"


def _span(estimate: Estimate) -> str:
    if estimate.low is None:
        return "no interval"
    low, high = limits_of(estimate)
    return f"{low:.1%} to {high:.1%}"
