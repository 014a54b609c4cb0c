"""The Plotly figure of an experiment: the effect as of each day, with the interval that holds on all days together."""

import numpy as np
import plotly.graph_objects as go

from core.calibration_figures import COLOURS, FEW, style
from core.experiments import METRICS, Compared
from core.figures import GREY


def effect_figure(compared: Compared, worth: float = 0.0) -> go.Figure:
    """Treatment less control as of each day that it is known: a band for the confidence sequence, dashes for the 95% interval of a
    single look, a line at no effect and one at the smallest effect ``worth`` having, on the side that is better."""
    measure, known = METRICS[compared.metric], ~np.isnan(compared.over.low)
    day, value = compared.day[known], compared.over.value[known]
    low, high, fixed = compared.over.low[known], compared.over.high[known], compared.fixed[known]
    figure = go.Figure()
    figure.add_scatter(
        name="95% on all days together",
        x=np.concatenate([day, day[::-1]]),
        y=np.concatenate([high, low[::-1]]),
        fill="toself",
        fillcolor=COLOURS[0],
        opacity=0.22,
        line={"width": 0, "color": COLOURS[0]},
        hoverinfo="skip",
    )
    for sign in (1, -1):
        figure.add_scatter(
            name="95% on one day alone",
            legendgroup="one",
            showlegend=sign > 0,
            x=day,
            y=value + sign * fixed,
            mode="lines",
            line={"color": GREY, "width": 1, "dash": "dot"},
            hoverinfo="skip",
        )
    number = f":+.3g}}{measure.unit}"
    figure.add_scatter(
        name="Effect",
        x=day,
        y=value,
        mode="lines+markers",
        line={"color": COLOURS[0], "width": 2},
        marker={"size": 6},
        customdata=[[lo, hi, f"{n:,}"] for lo, hi, n in zip(low, high, compared.over.n[known], strict=True)],
        hovertemplate=f"%{{x|%Y-%m-%d}}<br>%{{y{number} (%{{customdata[0]{number} to %{{customdata[1]{number})"
        "<br>%{customdata[2]} units<extra></extra>",
    )
    figure.add_hline(y=0, line={"color": GREY, "width": 1.5})
    if worth:
        figure.add_hline(
            y=measure.better * worth,
            line={"color": COLOURS[2], "width": 1.5, "dash": "dash"},
            annotation={"text": "worth having", "font": {"color": COLOURS[2]}},
            annotation_position="top right" if measure.better > 0 else "bottom right",
        )
    style(figure, 340).update_xaxes(tickformat="%b %-d", **({"tickvals": day} if len(day) <= FEW else {}))
    return figure.update_yaxes(title=f"{measure.label}, treatment less control", ticksuffix=measure.unit)
