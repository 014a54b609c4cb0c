"""Drift: what changed between two windows, where on the map of texts, and how sure that is."""

from functools import partial
from typing import Any

import streamlit as st

from core.report_drift import alert
from core.roles import Identity
from jobs import ingest
from pages._drift_clusters import clusters_view
from pages._drift_form import VIEWS as TEXTS
from pages._drift_form import new
from pages._drift_map import map_view
from pages._drift_tests import tests_view
from pages._job import Listed, live
from pages._report import plain
from pages._report_file import drift_report
from pages._session import campaign, read, require
from storage import drift, models
from storage.models import ModelError
from storage.tables import DriftRow
from storage.workbench import workbench

NEW = "New run"
RESULTS: dict[str, Any] = {"Map": map_view, "Clusters": clusters_view, "Tests": tests_view}


def main() -> None:
    who = require("researcher")
    head = st.container(horizontal=True, vertical_alignment="center")
    head.title("Drift", anchor=False)
    runs = read(runs_here, campaign().id)
    if (done := st.session_state.get("drift awaited")) in runs:
        st.session_state.update({"drift view": "Map", "drift run": done, "drift awaited": None})
    if "drift view" not in st.session_state:
        st.session_state["drift view"] = "Map" if runs else NEW
    with st.container(horizontal=True, vertical_alignment="center", gap="medium"):
        view = st.segmented_control("View", [*RESULTS, NEW], required=True, key="drift view", label_visibility="collapsed",
                                    persist_state="session")  # fmt: skip
        if view != NEW and runs:
            chosen = st.selectbox("Run", runs, key="drift run", format_func=lambda key: titled(runs[key]), width=560,
                                  label_visibility="collapsed", persist_state="session")  # fmt: skip
    if view == NEW:
        live(partial(form, who), listed)
        return
    live(lambda: None, listed)
    if not runs:
        st.info("Nothing has been compared yet. Choose two windows under New run, and Attune shows what came, what went, and where the "
                "model errs.", icon=":material/compare_arrows:")  # fmt: skip
        return
    with head:
        drift_report(runs[chosen])
    about(runs[chosen])
    with st.spinner("Drawing…"):
        RESULTS[view](runs[chosen])


def form(who: Identity) -> None:
    new(who, listed())


def listed() -> Listed:
    return ingest.listed(workbench(), 10, ["drift"])


def runs_here(store: Any, campaign_id: str) -> dict[str, DriftRow]:
    """The runs that a campaign is in, by id, the latest first."""
    return {run.id: run for run in drift.listed(store, campaign_id)}


def titled(run: DriftRow) -> str:
    return f"{drift.titled(run).capitalize()} · {run.created_at:%Y-%m-%d %H:%M:%S}"


def about(run: DriftRow) -> None:
    """What was compared, and what is to be looked into, with how often that would be for nothing."""
    figures, scope = run.figures, run.scope
    sizes = " and ".join(f"{window['rows']:,}" for window in figures["windows"])
    what = [f"{run.population.capitalize()}: {sizes}", TEXTS[run.view], "all campaigns" if run.campaign_id is None else "",
            scope.get("category") or "", model(run)]  # fmt: skip
    st.markdown(" ".join(f":gray-badge[{plain(one)}]" for one in what if one))
    if scope.get("simulated"):
        st.markdown(
            ":violet-badge[:material/smart_toy: Simulated annotators] Judgements of simulated annotators count here."
        )
    rate = f"Each kind of alert is set to {figures['alpha']:.0%}: where nothing changed, it comes in so many runs at most."
    alike = "What shares a prompt is taken to be alike."
    if run.grouped == "text":
        rate += " With so few prompts, all this holds for these prompts only."
        alike = (
            "There are too few prompts to take what shares one to be alike, so every text counts for itself."
        )
    if found := figures["alerts"]:
        st.warning(
            f"**To look into**: {'; '.join(map(alert, found))}.",
            icon=":material/notification_important:",
        )
    else:
        st.success("No alert: there is no evidence that anything changed.", icon=":material/check_circle:")
    st.caption(rate, help=alike)


def model(run: DriftRow) -> str:
    """The model whose errors are told, and the one held against it."""
    found = []
    for key in filter(None, (run.model_id, run.other_id)):
        try:
            one = read(models.get, key)
            found.append(f"{one.name} {one.version}")
        except ModelError:
            found.append("a model that is gone")
    return " against ".join(found)


main()
