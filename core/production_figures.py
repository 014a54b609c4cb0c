"""Plotly figures of a model in production: its quality beside what it was deployed with, and its service."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

import plotly.graph_objects as go

from core.calibration_figures import COLOURS, FEW, limits_of, style, time_figure, with_intervals
from core.estimate import Estimate
from core.figures import GREY

HEIGHT = 320
TICKS = [digit * 10**power for power in range(-1, 6) for digit in (1, 2, 5)]


def quality_figure(
    starts: Sequence[datetime], estimates: Sequence[Estimate], title: str, held_out: Estimate
) -> go.Figure:
    """A figure in each window, and the line and interval of what it was on the pairs held out of the training."""
    figure = time_figure({title: dict(zip(starts, estimates, strict=True))}, title).update_layout(
        height=HEIGHT
    )
    if held_out.value is not None:
        figure.add_hline(
            y=held_out.value,
            line={"color": GREY, "width": 1.5, "dash": "dot"},
            annotation={"text": "deployed with"},
        )
        if held_out.low is not None:
            figure.add_hrect(y0=held_out.low, y1=held_out.high, fillcolor=GREY, opacity=0.12, line_width=0)
    return figure


def service_figure(
    starts: Sequence[datetime], lines: Mapping[str, Sequence[Estimate]], title: str, share: bool
) -> go.Figure:
    """Figures of the requests in each window with their intervals: a ``share``, or milliseconds on a logarithmic axis."""
    number, unit = (".2%", "") if share else (",.2r", " ms")
    told = f"%{{y:{number}}}{unit} (%{{customdata[1]:{number}}} to %{{customdata[2]:{number}}})"
    figure = go.Figure()
    for (name, estimates), colour in zip(lines.items(), COLOURS, strict=False):
        figure.add_trace(
            with_intervals(list(starts), estimates, colour).update(
                name=name,
                customdata=[[f"{e.n:,}", *limits_of(e)] for e in estimates],
                hovertemplate=f"%{{x}}<br>{name} {told}<br>%{{customdata[0]}} requests<extra></extra>",
            )
        )
    _dated(figure, starts).update_layout(showlegend=len(lines) > 1)
    if share:
        return figure.update_yaxes(title=title, tickformat=".1%", rangemode="tozero")
    known = [value for line in lines.values() for e in line for value in (e.value, e.low, e.high) if value]
    below = [tick for tick in TICKS if tick <= min(known, default=TICKS[0])]
    above = [tick for tick in TICKS if tick >= max(known, default=TICKS[-1])]
    ends = [math.log10(max(below, default=TICKS[0])), math.log10(min(above, default=TICKS[-1]))]
    return figure.update_yaxes(title=title, type="log", tickvals=TICKS, tickformat=",~g", range=ends)


def requests_figure(starts: Sequence[datetime], requests: Sequence[int]) -> go.Figure:
    """How many requests each window had."""
    figure = go.Figure(go.Bar(x=list(starts), y=list(requests), marker={"color": COLOURS[0]}))
    figure.update_traces(hovertemplate="%{x}<br>%{y:,} requests<extra></extra>")
    return _dated(figure, starts).update_layout(bargap=0.25).update_yaxes(title="Requests", tickformat=",d")


def _dated(figure: go.Figure, starts: Sequence[datetime]) -> go.Figure:
    style(figure, HEIGHT)
    return figure.update_xaxes(tickvals=list(starts)) if len(starts) <= FEW else figure
