"""Plotly figures of a ranking of models: strengths with their intervals, and who beats whom."""

from collections.abc import Mapping, Sequence
from html import escape

import numpy as np
import plotly.graph_objects as go

from core.calibration_figures import COLOURS, limits_of, style
from core.estimate import Estimate
from core.figures import CLEAR, GREY, row_figure
from core.ranking import AVERAGE, POINTS

SHOWN = 30
"""Models at most in a matrix."""
SCALE, INK = ((0.0, "#EBA878"), (0.5, "#DDE0E4"), (1.0, "#7DB2DC")), "#1C2530"
"""Of its cells, light enough on either theme for text in this ink."""


def strength_figure(rankings: Mapping[str, Mapping[str, Estimate]]) -> go.Figure:
    """A dot with its interval for each model, in the order of the first ranking; a colour for each ranking by its name."""
    models = list(dict.fromkeys(model for found in rankings.values() for model in found))
    figure = row_figure(models)
    figure.add_vline(x=0, line={"color": GREY, "width": 1.5, "dash": "dot"})
    for i, (colour, (name, found)) in enumerate(zip(COLOURS, rankings.items(), strict=False)):
        known = {model: e for model, e in found.items() if e.value is not None}
        values = [e.value or 0.0 for e in known.values()]
        limits = [limits_of(e) for e in known.values()]
        spread = [_spread(low, high) for low, high in limits]
        figure.add_scatter(
            name=name,
            x=values,
            y=[models.index(model) + 0.2 * (i - (len(rankings) - 1) / 2) for model in known],
            mode="markers",
            marker={"size": 11, "color": colour, "symbol": ("circle", "diamond")[i % 2]},
            error_x={
                "type": "data",
                "symmetric": False,
                "array": [(high or 0.0) - x for x, (_, high) in zip(values, limits, strict=True)],
                "arrayminus": [x - (low or 0.0) for x, (low, _) in zip(values, limits, strict=True)],
                "thickness": 2,
                "width": 0,
            },
            customdata=[
                [escape(model), told, f"{AVERAGE + POINTS * x:.0f}", f"{e.n:,}"]
                for (model, e), x, told in zip(known.items(), values, spread, strict=True)
            ],
            hovertemplate="%{customdata[0]}<br>%{x:+.2f} (%{customdata[1]}), %{customdata[2]} points"
            "<br>%{customdata[3]} comparisons<extra></extra>",
            showlegend=len(rankings) > 1,
        )
    figure.update_yaxes(type="linear", tickvals=list(range(len(models))), ticktext=[escape(model) for model in models], categoryorder=None,
                        categoryarray=None, zeroline=False, showgrid=False)  # fmt: skip
    return figure.update_xaxes(tickformat="+.2~f", title="Strength, log odds against the average model")


def _spread(low: float | None, high: float | None) -> str:
    return "no interval" if low is None or low == high else f"{low:+.2f} to {high:+.2f}"


def head_to_head_figure(
    observed: Mapping[tuple[str, str], Estimate],
    expected: Mapping[tuple[str, str], float],
    models: Sequence[str],
) -> go.Figure:
    """A cell for every two models: the share of their comparisons that the row's won, and what their strengths say."""
    m = len(models)
    value, text = np.full((m, m), np.nan), np.full((m, m), "", dtype=object)
    hover = np.full((m, m), "never compared", dtype=object)
    np.fill_diagonal(hover, "the same model")
    for (first, second), e in observed.items():
        cell = models.index(first), models.index(second)
        value[cell] = e.value
        text[cell] = f"{e.value:.0%}" + (f"<br>{e.n:,}" if m <= SHOWN // 2 else "")
        span = "no interval" if e.low is None else f"{e.low:.0%} to {e.high:.0%}"
        hover[cell] = f"won {e.value:.1%} ({span}) of {e.n:,}"
        if (first, second) in expected:
            hover[cell] += f"<br>by their strengths {expected[first, second]:.1%}"
    reach = max(0.25, np.nanmax(np.abs(value - 0.5), initial=0.0))
    figure = go.Figure(
        go.Heatmap(
            x=[escape(model) for model in models],
            y=[escape(model) for model in models],
            z=value,
            text=text,
            customdata=hover,
            texttemplate="%{text}",
            zmin=0.5 - reach,
            zmax=0.5 + reach,
            colorscale=SCALE,
            textfont={"color": INK},
            colorbar={"title": {"text": "won"}, "thickness": 12, "tickformat": ".0%"},
            xgap=1,
            ygap=1,
            hovertemplate="%{y} against %{x}<br>%{customdata}<extra></extra>",
        )
    )
    style(figure, 150 + 44 * m).update_layout(paper_bgcolor=CLEAR, margin={"t": 10})
    figure.update_xaxes(type="category", showgrid=False, title="against")
    return figure.update_yaxes(type="category", showgrid=False, autorange="reversed")
