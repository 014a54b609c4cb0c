"""Plotly figures: data in, figure out. Backgrounds are clear and text takes the colour of the page's theme."""

from collections.abc import Mapping, Sequence
from textwrap import wrap

import numpy as np
import plotly.graph_objects as go

from core.agreement import KappaTable
from core.estimate import Estimate
from core.ratings import IntArray

CLEAR = "rgba(0,0,0,0)"
GREY = "rgba(128,128,128,0.8)"

AGREEMENT_NAMES = {
    "raw_agreement": "Raw agreement",
    "cohen_kappa": "Cohen’s κ, mean of two annotators",
    "fleiss_kappa": "Fleiss’ κ",
    "krippendorff_alpha": "Krippendorff’s α",
    "krippendorff_alpha_ordinal": "Krippendorff’s α, ordinal",
    "gwet_ac1": "Gwet’s AC1",
    "confidence_weighted_agreement": "Confidence-weighted agreement",
    "self_consistency": "Self-consistency",
}


def agreement_figure(report: Mapping[str, Estimate]) -> go.Figure:
    """A dot with its 95% interval for each figure of an agreement report, its target as a tick, or why there is none."""
    known = {name: e for name, e in report.items() if e.value is not None}
    aimed = {name: e for name, e in known.items() if e.target is not None}
    missing = {name: e for name, e in report.items() if e.value is None}
    figure = row_figure([AGREEMENT_NAMES[name] for name in report])
    figure.add_trace(intervals([AGREEMENT_NAMES[name] for name in known], list(known.values())))
    figure.add_scatter(
        name="Target",
        x=[e.target for e in aimed.values()],
        y=[AGREEMENT_NAMES[name] for name in aimed],
        mode="markers",
        marker={"symbol": "line-ns", "size": 18, "line": {"width": 2, "color": GREY}},
        hovertemplate="target %{x:.2f}<extra></extra>",
    )
    figure.add_scatter(
        x=[0] * len(missing),
        y=[AGREEMENT_NAMES[name] for name in missing],
        mode="text",
        text=["<br>".join(wrap(e.reason or "", 70)) for e in missing.values()],
        textposition="middle right",
        hoverinfo="skip",
        showlegend=False,
    )
    lowest = min(
        (limit for e in known.values() for limit in (e.value, e.low) if limit is not None), default=0.0
    )
    figure.update_xaxes(range=[min(0.0, lowest) - 0.02, 1.02])
    return figure


def kappa_matrix(kappas: KappaTable, raters: Sequence[str], judged: IntArray, limit: int = 30) -> go.Figure:
    """Cohen's kappa of every two of the ``limit`` annotators with the most work, most work first.

    ``raters``: names by code. ``judged``: shape (n_raters,), judgements of each.
    """
    chosen = np.argsort(-judged, kind="stable")[:limit]
    place = np.full(len(raters), -1)
    place[chosen] = np.arange(len(chosen))
    value = np.full((len(chosen), len(chosen)), np.nan)
    hover = np.full(value.shape, "share no pair", dtype=object)
    np.fill_diagonal(hover, "the same annotator")
    for row in np.flatnonzero((place[kappas.rater_a] >= 0) & (place[kappas.rater_b] >= 0)):
        i, j = place[kappas.rater_a[row]], place[kappas.rater_b[row]]
        estimate = kappas.estimate(int(row))
        value[i, j] = value[j, i] = np.nan if estimate.value is None else estimate.value
        hover[i, j] = hover[j, i] = estimate.reason or (
            f"κ {estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f}), {estimate.n} pairs"
        )
    names = [raters[code] for code in chosen]
    figure = go.Figure(
        go.Heatmap(
            x=names,
            y=names,
            z=value,
            customdata=hover,
            zmin=0,
            zmax=1,
            colorscale="Viridis",
            colorbar={"title": {"text": "κ"}, "thickness": 12},
            xgap=1,
            ygap=1,
            hoverongaps=True,
            hovertemplate="%{y} and %{x}<br>%{customdata}<extra></extra>",
        )
    )
    figure.update_layout(
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        height=160 + 22 * len(names),
        margin={"l": 0, "r": 0, "t": 10, "b": 0},
    )
    figure.update_xaxes(type="category", showgrid=False)
    figure.update_yaxes(type="category", showgrid=False, autorange="reversed", scaleanchor="x")
    return figure


def row_figure(names: Sequence[str]) -> go.Figure:
    """An empty figure with a row for each name, the first on top."""
    return go.Figure(
        layout={
            "paper_bgcolor": CLEAR,
            "plot_bgcolor": CLEAR,
            "height": 90 + 36 * len(names),
            "margin": {"l": 0, "r": 10, "t": 30, "b": 0},
            "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 1, "xanchor": "right"},
            "xaxis": {"zeroline": False, "gridcolor": "rgba(128,128,128,0.25)", "tickformat": ".1f"},
            "yaxis": {
                "type": "category",
                "categoryorder": "array",
                "categoryarray": list(names),
                "range": [len(names) - 0.5, -0.5],
                "automargin": True,
            },
        }
    )


def intervals(rows: Sequence[str], estimates: Sequence[Estimate]) -> go.Scatter:
    """A dot and its interval on each row."""
    limits = [(e.value, e.value) if e.low is None or e.high is None else (e.low, e.high) for e in estimates]
    spans = [
        "no interval" if e.low is None or e.high is None else f"{e.low:.3f} to {e.high:.3f}"
        for e in estimates
    ]
    return go.Scatter(
        name="Value",
        x=[e.value for e in estimates],
        y=list(rows),
        mode="markers",
        marker={"size": 11},
        error_x={
            "type": "data",
            "symmetric": False,
            "array": [(high or 0) - (e.value or 0) for e, (_, high) in zip(estimates, limits, strict=True)],
            "arrayminus": [
                (e.value or 0) - (low or 0) for e, (low, _) in zip(estimates, limits, strict=True)
            ],
            "thickness": 2,
            "width": 0,
        },
        customdata=[[span, f"{e.n:,}"] for e, span in zip(estimates, spans, strict=True)],
        hovertemplate="%{y}<br>%{x:.3f} (%{customdata[0]})<br>%{customdata[1]} pairs<extra></extra>",
    )
