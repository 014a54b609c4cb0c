"""Experiments: two versions tried on a product's users, what came of it, and what to do by it."""

from typing import Any

import pandas as pd
import streamlit as st

from core.experiments import METRICS
from core.roles import Identity
from pages._experiment import CHOICES, result
from pages._experiment_actions import ask
from pages._experiment_form import new
from pages._experiment_product import in_product
from pages._session import allowed, read, read_live, require
from storage import experiments, models
from storage.experiments import Experiment

NEW, ALL = "New experiment", "All experiments"
VIEWS: dict[str, Any] = {"Result": result, "In your product": in_product}
KEPT: dict[str, Any] = {"label_visibility": "collapsed", "persist_state": "session"}


def main() -> None:
    who = require("researcher")
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Experiments", anchor=False)
    found = {one.id: one for one in read_live(experiments.listed)}
    if not found:
        st.info("Nothing was tried yet. An experiment gives some of your product's users one version of a model and the others another, and "
                "says which serves them better.", icon=":material/science:")  # fmt: skip
        begin(who)
        return
    views = [*VIEWS, ALL, *([NEW] if who.may("lead") else [])]
    view = st.segmented_control(
        "View", views, default="Result", required=True, key="experiments view", **KEPT
    )
    if view in VIEWS:
        chosen = head.selectbox("Experiment", found, key="experiment", format_func=lambda key: titled(found[key]), width=460, **KEPT)  # fmt: skip
    if view == NEW:
        begin(who)
    elif view == ALL:
        table(list(found.values()))
    else:
        with st.spinner("Computing…"):
            VIEWS[view](found[chosen], who)
    ask(who)


def begin(who: Identity) -> None:
    """The form, or what is missing for it."""
    found = read(models.listed)
    if len(found) < 2:
        there = "there is one" if found else "there is none"
        st.info(f"It takes two versions, and {there}. Train another: on more votes, by another method, or calibrated anew.",
                icon=":material/model_training:")  # fmt: skip
        page, label = ("train", "Train a model") if allowed(who, "train") else ("models", "Models")
        st.page_link(f"{page}.py", label=label, icon=":material/arrow_forward:")
    elif who.may("lead"):
        new(found, who)
    else:
        st.caption("A lead can begin one.")


def table(found: list[Experiment]) -> None:
    """A row an experiment, the latest first."""
    rows = [
        {
            "Experiment": one.name,
            "State": one.state,
            "Recommendation": CHOICES[read_live(experiments.analyse, one.id).recommendation.choice].label,
            "Control": f"{one.control.name} {one.control.version}",
            "Treatment": f"{one.treatment.name} {one.treatment.version}",
            "Decides": METRICS[one.metric].label,
            "Units": one.units,
            "Planned": one.target,
            "Begun": one.created_at,
        }
        for one in found
    ]
    st.dataframe(
        pd.DataFrame(rows), hide_index=True, height="content",
        column_config={"Begun": st.column_config.DatetimeColumn(format="YYYY-MM-DD", timezone="UTC"),
                       **{name: st.column_config.NumberColumn(format="localized", width=90) for name in ("Units", "Planned")}},
    )  # fmt: skip


def titled(one: Experiment) -> str:
    return f"{one.name} · {one.state} · {one.created_at:%Y-%m-%d}"


main()
