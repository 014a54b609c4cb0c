"""Plotly figures of a training: how it goes while it runs, and how much of a reward is form."""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import plotly.graph_objects as go

from core.calibration_figures import COLOURS, FAINT
from core.estimate import Estimate
from core.figures import CLEAR, GREY, intervals, row_figure

HELD_OUT = "held_out_loss"
HEAD = "head_rate"
PANELS = {
    "loss": "Loss",
    "accuracy": "Accuracy",
    "token_accuracy": "Token accuracy",
    "learning_rate": "Learning rate",
    HEAD: "Learning rate of the head",
    "examples_per_second": "Pairs a second",
}
SMOOTH = 0.9
GAP = 0.05
"""Between panels, of the figure's width."""
_NOISY = ("loss", "accuracy", "token_accuracy")
_AXES = {
    "learning_rate": {"exponentformat": "e"},
    HEAD: {"exponentformat": "e"},
    "examples_per_second": {"rangemode": "tozero"},
}


def training_figure(events: Sequence[Mapping[str, Any]]) -> go.Figure:
    """The metrics of a training against its steps, a panel each that it tells; of the loss also that on what was held out,
    after each epoch.

    ``events``: metric events in order, with ``step`` and any of PANELS and HELD_OUT. A single batch says little, so loss
    and accuracy are drawn as running means, the weight of a step falling by SMOOTH with each that follows, over faint raw
    values. Of steps that were taken again after a stop the last time counts. Where the encoder stands still, the learning
    rate is that of the head.
    """
    events = _last_taken(events)
    steps = [event for event in events if "loss" in event]
    known = {"loss"}.union(*steps)
    known -= {HEAD} if "learning_rate" in known else set()
    panels = {name: title for name, title in PANELS.items() if name in known}
    first, second = ({"color": colour, "width": 2} for colour in COLOURS[:2])
    drawn = []
    for panel, (name, title) in enumerate(panels.items(), start=1):
        x, y = _line(steps, name)
        usual = {
            "x": x,
            "xaxis": f"x{panel}",
            "yaxis": f"y{panel}",
            "mode": "lines",
            "line": first,
            "showlegend": False,
        }
        if name in _NOISY:
            drawn.append(
                {**usual, "y": y, "line": {**first, "width": 1}, "opacity": 0.25, "hoverinfo": "skip"}
            )
        drawn.append(
            {
                **usual,
                "y": _running_mean(y) if name in _NOISY else y,
                "name": title,
                "mode": "lines" if len(x) > 1 else "markers",
                "hovertemplate": "step %{x:,d}<br>%{y:.3~g}<extra></extra>",
            }
        )
    x, y = _line(events, HELD_OUT)
    if x:
        drawn.append(
            {
                "x": x,
                "y": y,
                "name": "held out, after an epoch",
                "mode": "lines+markers",
                "line": {**second, "width": 1.5},
                "marker": {"size": 8},
                "hovertemplate": "held out, step %{x:,d}<br>%{y:.3f}<extra></extra>",
            }
        )
    return go.Figure(drawn, _panels(panels))


def _panels(panels: Mapping[str, str]) -> dict[str, Any]:
    """A layout of panels beside each other, from the titles by metric."""
    layout: dict[str, Any] = {
        "paper_bgcolor": CLEAR,
        "plot_bgcolor": CLEAR,
        "height": 250,
        "margin": {"l": 0, "r": 10, "t": 30, "b": 0},
        "legend": {"orientation": "h", "y": -0.3, "x": 0, "xanchor": "left", "yanchor": "top"},
        "annotations": [],
    }
    width = (1 - GAP * (len(panels) - 1)) / len(panels)
    common = {"zeroline": False, "gridcolor": FAINT, "nticks": 5}
    for panel, (name, title) in enumerate(panels.items(), start=1):
        left = (width + GAP) * (panel - 1)
        layout[f"xaxis{panel}"] = {**common, "title": {"text": "Step"}, "tickformat": ",d", "rangemode": "tozero",
                                   "domain": [left, left + width], "anchor": f"y{panel}"}  # fmt: skip
        layout[f"yaxis{panel}"] = {**common, **_AXES.get(name, {}), "automargin": True, "anchor": f"x{panel}"}
        layout["annotations"].append({"text": title, "x": left + width / 2, "y": 1, "xref": "paper", "yref": "paper",
                                      "xanchor": "center", "yanchor": "bottom", "showarrow": False, "font": {"size": 13}})  # fmt: skip
    return layout


def form_figure(accuracies: Mapping[str, Estimate]) -> go.Figure:
    """The accuracy of a reward with and without what it could take from the form of an answer, a row each; dotted: chance."""
    known = {name: e for name, e in accuracies.items() if e.value is not None}
    figure = row_figure(list(accuracies))
    figure.add_trace(intervals(list(known), list(known.values())).update(showlegend=False))
    figure.add_vline(x=0.5, line={"dash": "dot", "width": 1.5, "color": GREY})
    lowest = min((e.low if e.low is not None else e.value or 0.5 for e in known.values()), default=0.5)
    figure.update_layout(margin_t=0, height=60 + 36 * len(accuracies))
    return figure.update_xaxes(title="Accuracy", range=[min(lowest, 0.5) - 0.02, 1.01])


def _last_taken(events: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The events with steps that never fall back."""
    kept: list[Mapping[str, Any]] = []
    for event in events:
        if kept and event["step"] < kept[-1]["step"]:
            kept = [earlier for earlier in kept if earlier["step"] < event["step"]]
        kept.append(event)
    return kept


def _line(events: Sequence[Mapping[str, Any]], name: str) -> tuple[list[int], list[float]]:
    found = [(event["step"], event[name]) for event in events if event.get(name) is not None]
    return [step for step, _ in found], [value for _, value in found]


def _running_mean(values: Sequence[float]) -> list[float]:
    sums = accumulate(values, lambda mean, value: SMOOTH * mean + value, initial=0.0)
    weights = accumulate(values, lambda mean, _: SMOOTH * mean + 1, initial=0.0)
    return [total / weight for total, weight in zip(sums, weights, strict=True) if weight]
