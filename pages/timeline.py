"""Timeline: how annotations and preferences went over time, what is behind each point, and the history to search."""

import streamlit as st

from core.held_out import UNITS
from core.timeline import MEASURES, SPLITS, Measure, Split
from pages._history import history
from pages._scope import KEPT, Scope, narrow, row
from pages._session import read, require
from pages._timeline import models, over_time
from pages._trend import NAMES, chosen, drawn

NO_MODEL = "No annotation matches this choice, or the models of the answers are not known."
NOTHING: dict[Measure, str] = {
    "longer": "No annotation here prefers one of two answers of different length.",
    "left": "None of these annotations tells which answer stood left: imported ones do not, those made in Attune do.",
    "wins": "None of these annotations is about answers by two different models. Import pairs with the columns `model_a` and `model_b`, or "
    "have two models answer your prompts.",
    "count": NO_MODEL,
    "undecided": NO_MODEL,
}
APART: dict[Split, str] = {
    "all": "All together",
    "category": "By category",
    "model": "By model",
    "annotator": "By annotator",
}


def main() -> None:
    require("researcher")
    st.title("Timeline", anchor=False)
    view = st.segmented_control("View", ["Trends", "History"], default="Trends", required=True, key="timeline view",
                                label_visibility="collapsed", **KEPT)  # fmt: skip
    if view == "History":
        history(row())
        return
    scope = narrow("timeline", "Trends begin with the first annotation.")
    if scope is not None:
        trends(scope)


def trends(scope: Scope) -> None:
    """A measure over time, and the annotations behind a point of it."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        measure = st.segmented_control("Show", MEASURES, default="count", required=True, key="timeline measure",
                                       format_func=NAMES.__getitem__, **KEPT)  # fmt: skip
        split = st.selectbox(
            "Lines", SPLITS, key="timeline split", format_func=APART.__getitem__, width=150, **KEPT
        )
        length = st.selectbox(
            "Windows",
            ["automatic", *UNITS],
            key="timeline unit",
            width=140,
            format_func=str.capitalize,
            **KEPT,
        )
        unit = None if length == "automatic" else length
        named = read(models, scope)
        model = None
        if measure == "wins" and split != "model" and named:
            model = st.selectbox("Model", named, key="timeline model", width=220, **KEPT)
    if measure == "wins" and not named:
        st.info(NOTHING["wins"], icon=":material/leaderboard:")
        return
    with st.spinner("Computing…"):
        found = read(over_time, scope, measure, split, unit, model)
    if not found.names:
        st.info(NOTHING[measure], icon=":material/search_off:")
        return
    lines = chosen(found, split)
    if lines:
        drawn(scope, found, lines, measure)


main()
