"""Plotly figure of alignment: several figures side by side over time, or by other parts of the pairs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from core.calibration_figures import COLOURS, FEW, limits_of, style, with_intervals
from core.estimate import Estimate

APART = 0.03
"""How far figures stand apart, so that their intervals can be told: a share of the distance between parts."""


def alignment_figure(
    names: Sequence[str], lines: Mapping[str, Sequence[Estimate]], over_time: bool
) -> go.Figure:
    """A line of each figure with an estimate for each part, gaps where there is none.

    ``names``: of the parts; dates as ISO 8601 where ``over_time``. A point's ``customdata`` begins with its line and its part.
    """
    figure = go.Figure()
    days = np.array(names if over_time else [], dtype="datetime64[s]")
    step = np.diff(days).min() if len(days) > 1 else np.timedelta64(86_400, "s")
    for i, (line, estimates) in enumerate(lines.items()):
        shift = APART * (i - (len(lines) - 1) / 2)
        x: Any = days + shift * step if over_time else np.arange(len(names)) + shift
        trace = with_intervals(x, estimates, COLOURS[i % len(COLOURS)])
        facts = zip(names, estimates, strict=True)
        trace.update(
            name=line,
            mode="lines+markers" if over_time else "markers",
            customdata=[[line, name, *limits_of(e), f"{e.n:,}"] for name, e in facts],
            hovertemplate="%{customdata[1]}<br>%{customdata[0]}: %{y:.3f} (%{customdata[2]:.3f} to %{customdata[3]:.3f})"
            "<br>%{customdata[4]} pairs<extra></extra>",
        )
        figure.add_trace(trace)
    style(figure, 380).update_yaxes(tickformat=".0%")
    if over_time:
        return figure.update_xaxes(tickvals=list(days)) if len(days) <= FEW else figure
    return figure.update_xaxes(
        tickvals=list(range(len(names))), ticktext=list(names), range=[-0.5, len(names) - 0.5]
    )
