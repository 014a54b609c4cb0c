"""Plotly figures of bias and of annotators: shares against what they would be without, agreement by speed, one person over time."""

from collections.abc import Collection, Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from core.annotators import FALSE_ALARMS, Series
from core.bias import SKIM
from core.calibration_figures import COLOURS, FAINT, limits_of, style, with_intervals
from core.estimate import Estimate
from core.figures import GREY, intervals, row_figure


def leaning_figure(
    rows: Mapping[str, Estimate],
    null: float | None,
    title: str,
    flagged: Collection[str] = (),
    units: str | Sequence[str] = "judgements",
) -> go.Figure:
    """A figure with its interval on each row, those of ``flagged`` rows in another colour; dotted: ``null``, what to expect.

    ``units``: what n counts, on all rows or on each. Names are shown as they are, whatever they contain.
    """
    known = {name: e for name, e in rows.items() if e.value is not None}
    counted = dict(zip(rows, [units] * len(rows) if isinstance(units, str) else units, strict=True))
    names = {name: escape(name, quote=False) for name in rows}
    figure = row_figure(list(names.values()))
    for colour, some in (
        (COLOURS[0], [name for name in known if name not in flagged]),
        (COLOURS[1], [name for name in known if name in flagged]),
    ):
        dots = intervals([names[name] for name in some], [known[name] for name in some])
        spans = [[*facts, counted[name]] for name, facts in zip(some, dots.customdata, strict=True)]
        figure.add_trace(
            dots.update(
                marker={"color": colour, "size": 10},
                showlegend=False,
                customdata=spans,
                hovertemplate="%{y}<br>%{x:.3f} (%{customdata[0]})<br>%{customdata[1]} %{customdata[2]}<extra></extra>",
            )
        )
    if null is not None:
        figure.add_vline(x=null, line={"color": GREY, "width": 1.5, "dash": "dot"})
    figure.update_layout(margin_t=0, height=60 + (36 if len(rows) < 12 else 24) * len(rows))
    return figure.update_xaxes(title=title, tickformat=None)


def speed_figure(parts: Sequence[tuple[float, float, Estimate]]) -> go.Figure:
    """Agreement in each part by speed, from the slowest to the fastest; parts that are quick throughout in another colour."""
    names = [f"{low:,.0f} to {high:,.0f}" for low, high, _ in parts]
    figure = go.Figure(with_intervals(names, [e for _, _, e in parts], COLOURS[0]))
    figure.update_traces(
        marker={"color": [COLOURS[1] if low > SKIM else COLOURS[0] for low, _, _ in parts]},
        customdata=[[*limits_of(e), e.n] for _, _, e in parts],
        hovertemplate="%{x} characters a second<br>agreement %{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})"
        "<br>%{customdata[2]:,} judgements<extra></extra>",
        showlegend=False,
    )
    style(figure, 320).update_layout(margin_t=10)
    figure.update_xaxes(
        title="Characters of both answers a second", type="category", range=[-0.4, len(parts) - 0.6]
    )
    return figure.update_yaxes(title="Agreement with others")


def timeline_figure(series: Series, title: str, null: float | None = None) -> go.Figure:
    """A figure of one annotator in windows of equally many judgements; a line where they changed, if the test says so."""
    moments = [
        f"{np.datetime_as_string(a, 'm').replace('T', ' ')} to {np.datetime_as_string(b, 'm').replace('T', ' ')} UTC"
        for a, b, _ in series.windows
    ]
    places = list(range(1, len(moments) + 1))
    figure = go.Figure(with_intervals(places, [e for _, _, e in series.windows], COLOURS[0]))
    figure.update_traces(
        customdata=[
            [moment, *limits_of(e), e.n] for moment, (_, _, e) in zip(moments, series.windows, strict=True)
        ],
        hovertemplate="%{customdata[0]}<br>%{y:.3f} (%{customdata[1]:.3f} to %{customdata[2]:.3f})"
        "<br>%{customdata[3]:,} judgements<extra></extra>",
        showlegend=False,
    )
    if null is not None:
        figure.add_hline(y=null, line={"color": GREY, "width": 1.5, "dash": "dot"})
    if series.at is not None and series.p is not None and series.p <= FALSE_ALARMS:
        starts = [a for a, _, _ in series.windows]
        within = max(sum(bool(start <= series.at) for start in starts) - 1, 0)
        first, last, _ = series.windows[within]
        width = (last - first) / np.timedelta64(1, "us")
        share = (series.at - first) / np.timedelta64(1, "us") / width if width else 0.5
        figure.add_vline(
            x=within + 0.5 + float(share),
            line={"color": COLOURS[1], "width": 2},
            annotation={"text": "changed", "xanchor": "left", "yanchor": "top", "y": 1, "xshift": 4},
        )
    style(figure, 300).update_layout(margin_t=10)
    days = [np.datetime_as_string(a, "D") for a, _, _ in series.windows]
    labels = (
        days if len(set(days)) > 1 else [np.datetime_as_string(a, "m")[11:] for a, _, _ in series.windows]
    )
    figure.update_xaxes(tickvals=places, ticktext=labels, range=[0.5, len(places) + 0.5], gridcolor=FAINT)
    return figure.update_yaxes(title=title)
