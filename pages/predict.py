"""Predict: which answer people would prefer, how far that can be trusted, and what the model should learn again."""

import streamlit as st

from pages._job import live
from pages._probe import probe, under_way
from pages._ranking import rank
from pages._retraining import retrain
from pages._session import require

VIEWS = {"Rank": rank, "Probe": probe, "Retraining set": retrain}


def main() -> None:
    require("researcher")
    live(page, under_way)


def page() -> None:
    who = require("researcher")
    st.title("Predict", anchor=False)
    view = st.segmented_control("View", VIEWS, default="Rank", required=True, key="predict view",
                                label_visibility="collapsed", persist_state="session")  # fmt: skip
    VIEWS[view](who)


main()
