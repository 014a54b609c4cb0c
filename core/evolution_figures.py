"""Plotly figures of a model's versions: a figure along them, and what more labels give."""

from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from core.calibration_figures import COLOURS, FAINT, style, with_intervals
from core.estimate import Estimate
from core.figures import GREY, intervals, row_figure


def evolution_figure(
    x: Sequence[Any],
    estimates: Sequence[Estimate],
    versions: Sequence[str],
    deployed: str | None,
    title: str,
    along: str,
) -> go.Figure:
    """One figure of every version with its interval, along ``x``; the deployed version is filled, the others are rings."""
    figure = go.Figure(with_intervals(list(x), estimates, COLOURS[0]))
    figure.update_traces(
        line={"width": 1, "dash": "dot"},
        marker={
            "size": 11,
            "color": COLOURS[0],
            "symbol": ["circle" if version == deployed else "circle-open" for version in versions],
            "line": {"width": 2, "color": COLOURS[0]},
        },
        customdata=[[version, _span(e), f"{e.n:,}"] for version, e in zip(versions, estimates, strict=True)],
        hovertemplate="%{customdata[0]}: %{y:.3f} (%{customdata[1]})<br>%{customdata[2]} pairs<extra></extra>",
        showlegend=False,
    )
    named = not (x and isinstance(x[0], str))
    for place, version, e in zip(x, versions, estimates, strict=True):
        if e.value is not None:
            figure.add_annotation(
                x=place,
                y=e.value,
                text=f"{version} · n {e.n:,}" if named else f"n {e.n:,}",
                showarrow=False,
                xanchor="left",
                yanchor="bottom",
                xshift=8,
                yshift=4,
            )
    style(figure, 340).update_layout(margin={"t": 10}).update_yaxes(title=title, tickformat=".2f")
    if not named:
        return figure.update_xaxes(title=along, type="category", range=[-0.4, len(x) - 0.3], showgrid=False)
    return figure.update_xaxes(title=along, tickformat=",d" if x and isinstance(x[0], int) else None)


def learning_figure(points: Sequence[tuple[int, Estimate]], title: str) -> go.Figure:
    """A figure against the number of labels it took."""
    figure = go.Figure(with_intervals([labels for labels, _ in points], [e for _, e in points], COLOURS[2]))
    figure.update_traces(
        customdata=[[_span(e), f"{e.n:,}"] for _, e in points],
        hovertemplate="%{x:,} labels: %{y:.3f} (%{customdata[0]})<br>%{customdata[1]} pairs<extra></extra>",
        showlegend=False,
    )
    figure.update_xaxes(title="Labels", tickformat=",d", rangemode="tozero")
    return style(figure, 320).update_layout(margin={"t": 10}).update_yaxes(title=title, tickformat=".2f")


def difference_figure(rows: Mapping[str, Estimate]) -> go.Figure:
    """A difference with its interval on each row, and the line of no difference."""
    known = {name: e for name, e in rows.items() if e.value is not None}
    figure = row_figure(list(rows))
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5, "dash": "dot"})
    figure.add_trace(
        intervals(list(known), list(known.values())).update(showlegend=False, marker={"color": COLOURS[0]})
    )
    return figure.update_xaxes(tickformat="+.2f", gridcolor=FAINT)


def _span(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    return f"{estimate.low:.3f} to {estimate.high:.3f}"
