"""What an experiment says: what to do and why, the effect over time, every metric in both arms, and the split of its units."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
import streamlit as st

from core.experiment_figures import effect_figure
from core.experiments import METRICS, Analysis, Choice
from core.report import p_value, told
from core.roles import Identity
from pages._experiment_actions import actions
from pages._report import plain
from pages._session import read_live
from storage import experiments
from storage.experiments import Experiment

STATES = {
    "running": (":material/play_arrow:", "green"),
    "paused": (":material/pause:", "orange"),
    "ended": (":material/stop:", "gray"),
    "deployed": (":material/rocket_launch:", "blue"),
}
PLAIN: dict[str, Any] = {"config": {"displayModeBar": False}}
HOW = (
    "Several outcomes of a unit are averaged first; figures are of units. Intervals and p-values are confidence sequences (Waudby-Smith et al. "
    "2024): they hold however often one looks, so that an experiment may be stopped on what they say. They are narrowest at the number of "
    "units that it began with as its plan. The dotted lines are what a single look would claim."
)


@dataclass(frozen=True)
class Shown:
    """How a recommendation is put."""

    label: str
    icon: str
    box: Literal["success", "info", "warning"]


CHOICES: dict[Choice, Shown] = {
    "deploy treatment": Shown("Deploy the treatment", ":material/rocket_launch:", "success"),
    "keep control": Shown("Keep the control", ":material/undo:", "warning"),
    "no difference worth having": Shown("No difference worth having", ":material/drag_handle:", "info"),
    "go on": Shown("Go on", ":material/hourglass:", "info"),
    "extend or end": Shown("Extend it, or end it and keep the control", ":material/more_time:", "info"),
    "check the ratio first": Shown("Check the ratio first", ":material/report:", "warning"),
}


def result(one: Experiment, who: Identity) -> None:
    """An experiment as it stands, and what a lead can do with it."""
    found = read_live(experiments.analyse, one.id)
    icon, colour = STATES[one.state]
    st.markdown(
        f":{colour}-badge[{icon} {' '.join(filter(None, (one.deployed, one.state)))} since {one.changed_at:%Y-%m-%d %H:%M} UTC] "
        f":gray-badge[control {plain(one.control.name)} {plain(one.control.version)}] "
        f":gray-badge[treatment {plain(one.treatment.name)} {plain(one.treatment.version)}, {one.share:.0%} of units] "
        f":gray-badge[{METRICS[one.metric].label.lower()} decides]"
    )
    put = CHOICES[found.recommendation.choice]
    getattr(st, put.box)(f"**{put.label}.** {plain(found.recommendation.why)}", icon=put.icon)
    if who.may("lead"):
        actions(one, found.recommendation.choice)
    st.progress(
        min(1.0, one.units / one.target),
        text=f"**{one.units:,}** of {one.target:,} planned units have an arm",
    )
    if not one.units:
        st.caption(
            "In your product, above, has the lines with which a product asks for arms and sends outcomes."
        )
        return
    if found.metrics:
        over_time(one, found)
        table(found)
    split(found)


def over_time(one: Experiment, found: Analysis) -> None:
    """The effect on a metric as of each day."""
    names = sorted(found.metrics, key=lambda metric: metric != one.metric)
    metric = names[0]
    if len(names) > 1:
        metric = st.segmented_control("Metric", names, default=names[0], required=True, key=f"experiment metric {one.id}",
                                      format_func=lambda name: METRICS[name].label, label_visibility="collapsed")  # fmt: skip
    compared = found.metrics[metric]
    if np.isnan(compared.over.low).all():
        st.caption(compared.effect.reason or "")
        return
    worth = one.worth if metric == one.metric else 0.0
    st.plotly_chart(effect_figure(compared, worth), key=f"experiment {one.id} {metric}",
                    alt=f"The effect on {METRICS[metric].label.lower()} as of each day, with its interval", **PLAIN)  # fmt: skip


def table(found: Analysis) -> None:
    """Every metric in both arms."""
    rows = [
        {
            "Metric": f"{METRICS[metric].label}{METRICS[metric].unit and ','}{METRICS[metric].unit}",
            "Control": told(compared.control, "{:.3g}"),
            "Treatment": told(compared.treatment, "{:.3g}"),
            "Effect": told(compared.effect, "{:+.3g}"),
            "p": p_value(compared.p_value),
            "Units": f"{compared.ratio.control:,} and {compared.ratio.treatment:,}",
            "Better is": "more" if METRICS[metric].better > 0 else "less",
        }
        for metric, compared in found.metrics.items()
    ]
    st.dataframe(pd.DataFrame(rows), hide_index=True, height="content")
    st.caption(HOW)


def split(found: Analysis) -> None:
    """Whether the units are split as they were to be, all of them and those with outcomes."""
    for metric, compared in found.metrics.items():
        if compared.ratio.mismatch and not found.ratio.mismatch:
            st.warning(f"Among those with {METRICS[metric].label.lower()}, {compared.ratio}.", icon=":material/report:")  # fmt: skip
    st.caption(f"{found.ratio}.", help="A sequential check (Lindon & Malek 2022): however often one looks, p is below 0.01 in 1% of the experiments "
               "whose split is right. The units with outcomes of each metric are checked likewise.")  # fmt: skip
