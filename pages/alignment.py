"""Alignment: how far the vote predictor and people go together on pairs it had not seen, over time."""

from typing import Any

import streamlit as st

from core.held_out import UNITS
from pages._alignment import Along, aligned, parted
from pages._alignment_views import VIEWS, show
from pages._held_out import held_out
from pages._predicted import called, choose
from pages._reliability import counted
from pages._report import plain
from pages._session import allowed, campaign, read, require
from storage import annotations, models
from storage.models import Model

KEPT: dict[str, Any] = {"persist_state": "session"}


def main() -> None:
    who = require("researcher")
    st.title("Alignment", anchor=False)
    with st.container(horizontal=bool(read(models.listed)), vertical_alignment="bottom", gap="medium"):
        model = choose("alignment model", who)
        if model is None:
            return
        everywhere = st.toggle("All campaigns", key="alignment everywhere", **KEPT)
        here = None if everywhere else campaign().id
        category = st.selectbox("Category", read(annotations.categories, here), index=None, placeholder="All", width=220,
                                key="alignment category", **KEPT)  # fmt: skip
    scope = model.id, here, category
    with st.spinner("Computing…"):
        n = len(read(aligned, *scope))
    if not n:
        nothing(model, allowed(who, "predict"))
        return
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        view = st.segmented_control(
            "View", list(VIEWS), default="Accuracy", required=True, key="alignment view", **KEPT
        )
        along: Along = st.segmented_control("Along", ["time", "category", "version"], default="time", required=True,
                                            format_func=str.capitalize, key="alignment along", **KEPT)  # fmt: skip
        wide = st.segmented_control("Window", ["automatic", *UNITS[1:]], default="automatic", required=True, format_func=str.capitalize,
                                    key="alignment window", disabled=along != "time", **KEPT)  # fmt: skip
    width = None if along != "time" or wide == "automatic" else wide
    with st.spinner("Computing…"):
        show(view, along, width, scope, read(parted, *scope, along, width))


def nothing(model: Model, may_probe: bool) -> None:
    """Why there is nothing to see, and what to do about it."""
    elsewhere = len(read(held_out, model.id))
    if elsewhere:
        st.info(f"None of the {counted(elsewhere)} with votes that {plain(called(model))} had not seen is in this campaign and category. "
                "Widen them, or probe the model on pairs of this campaign.", icon=":material/filter_alt_off:")  # fmt: skip
    else:
        st.info(f"{plain(called(model))} has predicted no pair that it had not seen and that has votes. Probe it on pairs it has not learnt from.",
                icon=":material/query_stats:")  # fmt: skip
    if may_probe:
        st.page_link("predict.py", label="Probe it", icon=":material/arrow_forward:")


main()
