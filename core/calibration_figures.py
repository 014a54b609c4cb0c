"""Plotly figures of calibration: reliability, confidence, risk against coverage, one figure by category and over time."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from core.calibration import Predictions, Reliability, RiskCoverage
from core.estimate import Estimate
from core.figures import CLEAR, GREY, intervals, row_figure

COLOURS = ("#2F86C8", "#E8833A", "#3BA68C", "#8E6BBF", "#C9A227", "#8A94A0")
"""Of the lines of a diagram, readable on light and dark."""

FEW = 10
"""Windows of which each has room for its date."""

CALIBRATED = "95% limit if calibrated"

FAINT = "rgba(128,128,128,0.25)"


def reliability_figure(diagrams: Mapping[str, Reliability], least: float = 0.0) -> go.Figure:
    """Observed shares against predictions, a line for each name ("Before", "After"), and below it how many pairs each bin has.

    ``least``: the smallest probability there can be; 1/2 where pairs are turned towards the likelier answer.

    Grey bars are the last diagram's consistency band: where its points would lie if it were calibrated; the note says what
    its ECE would then be. A point's ``customdata`` begins with the diagram's name and the bin's position in it.
    """
    figure = make_subplots(rows=2, cols=1, shared_xaxes=True, row_heights=[0.82, 0.18], vertical_spacing=0.04)
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"dash": "dot", "width": 1.5, "color": GREY},
        hoverinfo="skip",
        showlegend=False,
    )
    for last in list(diagrams.values())[-1:]:
        figure.add_bar(
            name="If calibrated",
            x=last.predicted,
            y=last.band_high - last.band_low,
            base=last.band_low,
            width=0.025,
            marker={"color": FAINT, "line": {"width": 0}},
            customdata=np.column_stack([last.band_low, last.band_high]),
            hovertemplate="if calibrated, %{customdata[0]:.3f} to %{customdata[1]:.3f}<extra></extra>",
        )
        figure.add_annotation(
            x=0.02, y=0.98, xref="x domain", yref="y domain", xanchor="left", yanchor="top", align="left",
            showarrow=False, text=_null_note(last),
        )  # fmt: skip
    for colour, (name, diagram) in zip(COLOURS, diagrams.items(), strict=False):
        figure.add_trace(_reliability_line(name, diagram, colour))
        figure.add_bar(
            x=(diagram.low + diagram.high) / 2,
            y=[e.n for e in diagram.observed],
            width=diagram.high - diagram.low,
            marker={"color": colour, "opacity": 0.5, "line": {"width": 0}},
            name=name,
            legendgroup=name,
            showlegend=False,
            customdata=[[name, position] for position in range(len(diagram.rows))],
            hovertemplate="%{y:,} pairs<extra></extra>",
            row=2,
            col=1,
        )
    style(figure, 480).update_layout(barmode="overlay")
    lowest = min((least, *(e.value or 0.0 for d in diagrams.values() for e in d.observed)))
    figure.update_xaxes(range=[least - 0.01, 1.01])
    figure.update_xaxes(title="Predicted probability", row=2, col=1)
    figure.update_yaxes(title="Votes that agree", range=[max(0.0, lowest - 0.05) - 0.01, 1.01], row=1, col=1)
    return figure.update_yaxes(title="Pairs", tickformat=",d", row=2, col=1)


def confidence_figure(lines: Mapping[str, Predictions], bins: int = 20) -> go.Figure:
    """How sure the predictions are, max(p, 1 - p), and on average (dashed), beside how often they are right (Guo et al. 2017,
    figure 1), a row for each name."""
    figure = make_subplots(rows=len(lines), cols=1, shared_xaxes=True, vertical_spacing=0.36 / len(lines))
    edges = np.linspace(0.5, 1, bins + 1)
    for row, (colour, (name, predictions)) in enumerate(zip(COLOURS, lines.items(), strict=False), start=1):
        p, y, w = predictions.p, predictions.y, predictions.weight
        confidence = np.maximum(p, 1 - p)
        counts, _ = np.histogram(confidence, edges)
        figure.add_bar(
            x=(edges[:-1] + edges[1:]) / 2,
            y=counts,
            width=np.diff(edges),
            marker={"color": colour, "opacity": 0.5, "line": {"width": 0}},
            customdata=np.column_stack([edges[:-1], edges[1:]]),
            hovertemplate="confidence %{customdata[0]:.3f} to %{customdata[1]:.3f}<br>%{y:,} pairs<extra></extra>",
            row=row,
            col=1,
        )
        if not len(p):
            continue
        right = np.select([p > 0.5, p < 0.5], [y, 1 - y], 0.5)
        mean, agreeing = (float(np.average(values, weights=w)) for values in (confidence, right))
        for what, at, dash in (("mean confidence", mean, "dash"), ("votes that agree", agreeing, "solid")):
            figure.add_scatter(
                x=[at, at],
                y=[0, counts.max()],
                mode="lines",
                line={"color": GREY, "width": 2.5, "dash": dash},
                hovertemplate=f"{what} {at:.3f}<extra></extra>",
                row=row,
                col=1,
            )
        figure.add_annotation(
            text=f"<b>{name}</b><br>Mean confidence {mean:.3f} (dashed), votes that agree {agreeing:.3f}", align="left", showarrow=False,
            x=0, y=1, xref="x domain", yref="y domain", xanchor="left", yanchor="bottom", row=row, col=1,
        )  # fmt: skip
    style(figure, 110 + 190 * len(lines)).update_layout(showlegend=False)
    figure.update_xaxes(range=[0.49, 1.01])
    figure.update_xaxes(title="Confidence", row=len(lines), col=1)
    return figure.update_yaxes(title="Pairs", tickformat=",d")


def risk_figure(curves: Mapping[str, RiskCoverage]) -> go.Figure:
    """The error rate among the surest predictions against the share of pairs they cover, each curve with its 95% band."""
    figure = go.Figure()
    for colour, (name, curve) in zip(COLOURS, curves.items(), strict=False):
        low, high = zip(*(limits_of(e) for e in curve.risk), strict=True)
        figure.add_scatter(
            x=np.concatenate([curve.coverage, curve.coverage[::-1]]),
            y=[*high, *low[::-1]],
            fill="toself",
            line={"width": 0, "color": colour},
            opacity=0.25,
            legendgroup=name,
            showlegend=False,
            hoverinfo="skip",
        )
        figure.add_scatter(
            name=name,
            legendgroup=name,
            x=curve.coverage,
            y=[e.value for e in curve.risk],
            mode="lines+markers",
            line={"color": colour, "width": 2},
            marker={"size": 5},
            customdata=[
                [c, e.n, lo, hi] for c, e, lo, hi in zip(curve.confidence, curve.risk, low, high, strict=True)
            ],
            hovertemplate="%{x:.0%} of pairs, confidence %{customdata[0]:.3f} or more"
            "<br>error rate %{y:.3f} (%{customdata[2]:.3f} to %{customdata[3]:.3f})"
            "<br>%{customdata[1]:,} pairs<extra></extra>",
        )
    style(figure, 340)
    figure.update_xaxes(title="Coverage", range=[0, 1.02], tickformat=".0%", dtick=0.25)
    return figure.update_yaxes(title="Error rate", rangemode="tozero")


def category_figure(
    lines: Mapping[str, Mapping[str, Estimate]], limits: Mapping[str, Mapping[str, float]] | None = None
) -> go.Figure:
    """A calibration figure in each category: on a row, for each name of ``lines``, a dot with its interval, and as a tick what it would
    stay below in 95 of 100 cases if predictions were calibrated, where ``limits`` has that. All names have the same categories."""
    rows = list(next(iter(lines.values())))
    figure = row_figure(rows)
    for colour, (name, estimates) in zip(COLOURS, lines.items(), strict=False):
        known = {row: e for row, e in estimates.items() if e.value is not None}
        dots = intervals(list(known), list(known.values()))
        figure.add_trace(dots.update(name=name, offsetgroup=name, marker={"color": colour, "size": 9}))
    figure.add_traces(_limits(limits or {}, "x")).update_traces(orientation="h")
    _side_by_side(figure, len(lines) > 1 or limits is not None)
    figure.update_layout(height=90 + (14 + 22 * len(lines)) * len(rows))
    return figure.update_xaxes(tickformat=None, rangemode="tozero")


def time_figure(
    lines: Mapping[str, Mapping[Any, Estimate]],
    title: str,
    limits: Mapping[str, Mapping[Any, float]] | None = None,
) -> go.Figure:
    """The same by the start of each window of time. A window without a value is a gap."""
    figure = go.Figure()
    for colour, (name, estimates) in zip(COLOURS, lines.items(), strict=False):
        points = with_intervals(list(estimates), list(estimates.values()), colour)
        figure.add_trace(
            points.update(
                name=name,
                offsetgroup=name,
                hovertemplate="%{x}<br>%{y:.3f} (%{customdata[0]:.3f} to %{customdata[1]:.3f})"
                "<br>%{customdata[2]:,} pairs<extra></extra>",
                customdata=[[*limits_of(e), e.n] for e in estimates.values()],
            )
        )
    figure.add_traces(_limits(limits or {}, "y"))
    _side_by_side(figure, len(lines) > 1 or limits is not None)
    starts = list(next(iter(lines.values())))
    if len(starts) <= FEW:
        figure.update_xaxes(tickvals=starts)
    return style(figure, 300).update_yaxes(title=title)


def _limits(limits: Mapping[str, Mapping[Any, float]], axis: Literal["x", "y"]) -> list[go.Scatter]:
    """For each name ticks at its limits, told along ``axis``; the legend has them once."""
    across, symbol = ("y", "line-ns") if axis == "x" else ("x", "line-ew")
    return [
        go.Scatter(
            {axis: list(below.values()), across: list(below)}, name=CALIBRATED, legendgroup=CALIBRATED, showlegend=i == 0,
            offsetgroup=name, mode="markers", marker={"symbol": symbol, "size": 14, "line": {"width": 2, "color": GREY}},
            hovertemplate=f"if calibrated, below %{{{axis}:.3f}} in 95 of 100<extra></extra>",
        )
        for i, (name, below) in enumerate(limits.items())
    ]  # fmt: skip


def _side_by_side(figure: go.Figure, legend: bool) -> None:
    """What traces of several groups say of one place stands beside each other."""
    figure.update_layout(scattermode="group", scattergap=0.4, showlegend=legend)


def _null_note(diagram: Reliability) -> str:
    null = diagram.null
    p_value = "p < 0.01" if null.p_value < 0.01 else f"p = {null.p_value:.2f}"
    return (
        f"ECE {diagram.ece:.3f}<br>if calibrated, {null.mean:.3f} on average<br>"
        f"and below {null.p95:.3f} in 95 of 100; {p_value}"
    )


def _reliability_line(name: str, diagram: Reliability, colour: str) -> go.Scatter:
    line = with_intervals(diagram.predicted, diagram.observed, colour)
    facts = zip(diagram.low, diagram.high, diagram.observed, strict=True)
    return line.update(
        name=name,
        legendgroup=name,
        customdata=[[name, b, low, high, e.n, *limits_of(e)] for b, (low, high, e) in enumerate(facts)],
        hovertemplate="%{customdata[0]}: %{customdata[2]:.3f} to %{customdata[3]:.3f}"
        "<br>predicted %{x:.3f}, observed %{y:.3f} (%{customdata[5]:.3f} to %{customdata[6]:.3f})"
        "<br>%{customdata[4]:,} pairs<extra></extra>",
    )


def with_intervals(x: Any, estimates: Sequence[Estimate], colour: str) -> go.Scatter:
    """Points joined by a line, with their intervals upright."""
    values = [e.value for e in estimates]
    limits = [limits_of(e) for e in estimates]
    return go.Scatter(
        x=x,
        y=values,
        mode="lines+markers",
        line={"color": colour, "width": 1.5},
        marker={"size": 9},
        error_y={
            "type": "data",
            "symmetric": False,
            "array": [(high or 0) - (v or 0) for v, (_, high) in zip(values, limits, strict=True)],
            "arrayminus": [(v or 0) - (low or 0) for v, (low, _) in zip(values, limits, strict=True)],
            "thickness": 1.5,
            "width": 0,
        },
    )


def limits_of(estimate: Estimate) -> tuple[float | None, float | None]:
    """The interval, or the value twice where there is none."""
    if estimate.low is None or estimate.high is None:
        return estimate.value, estimate.value
    return estimate.low, estimate.high


def style(figure: go.Figure, height: int) -> go.Figure:
    figure.update_layout(
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        height=height,
        margin={"l": 0, "r": 10, "t": 30, "b": 0},
        legend={"orientation": "h", "y": 1, "yanchor": "bottom", "x": 1, "xanchor": "right"},
    )
    figure.update_xaxes(zeroline=False, gridcolor=FAINT)
    return figure.update_yaxes(zeroline=False, gridcolor=FAINT, automargin=True)
