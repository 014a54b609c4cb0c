"""Calibration: how far the probabilities of a model can be believed, on pairs that it had not seen."""

from typing import Any

import streamlit as st

from core.held_out import ALL, TEST
from pages import _calibration as views
from pages._calibrate import anew, calibrations, outcome
from pages._held_out import ENOUGH, UNCALIBRATED, Calibrated, Ground, calibrated, held_out
from pages._job import live
from pages._model_versions import no_model, numbered
from pages._predicted import called
from pages._reliability import counted, diagram
from pages._report import plain
from pages._report_file import model_report
from pages._session import campaign, campaign_switch, only_campaign, read, require
from storage import models
from storage.models import Model

VIEWS = {
    "Reliability": diagram,
    "Figures": views.figures,
    "Confidence and risk": views.confidence,
    "By category": views.categories,
    "Over time": views.times,
}
KEPT: dict[str, Any] = {"persist_state": "session"}


def main() -> None:
    require("researcher")
    live(page, calibrations)


def page() -> None:
    who = require("researcher")
    st.title("Calibration", anchor=False)
    listed = read(models.listed)
    if not listed:
        no_model(
            who,
            "The part of the votes that a model does not learn from shows here how far its probabilities can be believed.",
        )
        return
    model, ground = narrow(listed)
    with st.spinner("Computing…"):
        found = read(calibrated, ground)
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        chosen_because(model)
        if who.may("lead"):
            anew(model, ground.campaign_id)
    outcome(model, who)
    n = len(found.pairs)
    if not n:
        nothing(model, ground)
        return
    if n < ENOUGH:
        here = "" if ground.campaign_id is None else " of this campaign"
        st.warning(
            f"Only {n} held-out pairs{here} have votes; {ENOUGH - n} more would make these figures worth reading. Annotate more pairs and "
            "train again, or probe this version on pairs it has not seen.",
            icon=":material/data_usage:",
        )
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        view = st.segmented_control("View", list(VIEWS), default="Reliability", required=True, key="calibration view",
                                    label_visibility="collapsed", **KEPT)  # fmt: skip
        model_report(model, ground)
    if lines := compared(model, found):
        with st.spinner("Computing…"):
            VIEWS[view](ground, found, lines)


def narrow(listed: list[Model]) -> tuple[Model, Ground]:
    """The version, and which of the pairs that it had not seen."""
    names = list(dict.fromkeys(model.name for model in listed))
    left, middle, right, last = st.columns([5, 4, 5, 4], vertical_alignment="bottom")
    name = left.selectbox("Model", names, key="calibration name", **KEPT)
    versions = {model.id: model for model in listed if model.name == name}
    first = next((i for i, m in enumerate(versions.values()) if m.status == "deployed"), 0)
    chosen = middle.selectbox("Version", list(versions), first, key=f"calibration version {name}", **KEPT,
                              format_func=lambda key: numbered(versions[key]))  # fmt: skip
    probes = {
        probe.id: f"Probe of {probe.created_at:%Y-%m-%d %H:%M} UTC" for probe in read(models.probes, chosen)
    }
    sources = {ALL: "All held-out pairs", TEST: "The test split", **probes}
    which = right.selectbox("Pairs", list(sources), key=f"calibration pairs {chosen}", format_func=sources.__getitem__, **KEPT,
                            help="The model has learnt from none of these, nor was its calibrator fitted to them.")  # fmt: skip
    with last:
        campaign_switch("Pairs")
    return versions[chosen], Ground(chosen, which, only_campaign())


def compared(model: Model, found: Calibrated) -> list[str]:
    """The calibrators that every view shows, in a set order; where none is chosen, the page says so."""
    usual = [name for name in (UNCALIBRATED, found.kept) if name in found.lines]
    chosen = st.pills("Calibrators", list(found.lines), selection_mode="multi", default=usual, key=f"calibration lines {model.id}",
                      label_visibility="collapsed", **KEPT)  # fmt: skip
    if not chosen:
        st.info("Choose a calibrator to draw.", icon=":material/arrow_upward:")
    return [name for name in found.lines if name in chosen]


def nothing(model: Model, ground: Ground) -> None:
    """Why there is nothing to see, and what to do about it."""
    elsewhere = len(read(held_out, *Ground(model.id, ground.which)))
    if elsewhere:
        st.info(
            f"None of the {counted(elsewhere)} with votes that {plain(called(model))} had not seen was last annotated in "
            f"{plain(campaign().name)}. Turn off “Only this campaign”, choose another campaign in the sidebar, or probe the version on "
            "pairs of this one.",
            icon=":material/filter_alt_off:",
        )
    else:
        st.info(
            f"{plain(called(model))} has predicted no pair that it had not seen and that has votes; "
            f"{ENOUGH} or more are needed. Probe it on pairs it has not learnt from, or train with a share held out.",
            icon=":material/query_stats:",
        )
    st.page_link("predict.py", label="Probe it", icon=":material/arrow_forward:")


def chosen_because(model: Model) -> None:
    """Which calibrator was kept, and why."""
    calibrator = model.figures.get("calibrator", {})
    name, reason = (
        calibrator.get("name", "identity"),
        calibrator.get("reason", "").removeprefix("No calibrator: "),
    )
    st.markdown(
        f"{':gray-badge' if name == 'identity' else ':blue-badge'}[Calibrator: {'none' if name == 'identity' else name}] "
        f"{plain(reason[:1].upper() + reason[1:])}",
        help="Temperature, Platt, beta and isotonic calibration are compared on the calibration split, each judged on prompts it "
        "was not fitted to, and the best is kept only if it beats none at all beyond the 95% interval. A vote predictor "
        "treats both answers alike, which makes Platt and beta calibration the same as temperature scaling.",
    )


main()
