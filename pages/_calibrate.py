"""Calibrating a version anew: on how many pairs, the button that starts it, and what came of it."""

import streamlit as st

from core.calibrators import NEEDED
from core.labels import LOST
from core.rewards.base import RewardError
from core.roles import Identity
from jobs import calibrate, ingest
from jobs.learning import start_on_model
from jobs.protocol import JobError
from pages._job import Listed, is_under_way, jobs
from pages._predicted import called, policy
from pages._report import plain
from pages._session import read, require
from storage import learning, models
from storage.learning import Report
from storage.models import Model
from storage.store import Store, StoreError
from storage.workbench import workbench

OPEN, PROBLEM = "calibrate open", "calibrate problem"


def calibrations() -> Listed:
    """The latest calibrations of all versions."""
    return ingest.listed(workbench(), 20, (calibrate.KIND,))


def anew(model: Model, campaign_id: str | None) -> None:
    """On how many pairs the version can be calibrated anew, and why not more; the button that starts it."""
    with st.popover("Calibrate anew", icon=":material/straighten:", key=OPEN, on_change="rerun") as popover:
        if not popover.open:
            return
        with st.spinner("Counting…"):
            found = read(_unseen, model.id, campaign_id)
        whose = "" if campaign_id is None else " of this campaign"
        st.markdown(
            f"**{found.usable:,}** labelled pairs{whose} are of prompts that {plain(called(model))} has not learnt from. The calibrators are "
            f"compared on them, and the next version of {plain(model.name)} is this one with the best, or with none if none is better."
        )
        if found.lost:
            st.caption("Left out: " + "; ".join(f"{n:,}, {LOST[why]}" for why, n in found.lost.items()) + ".")
        if missing := max(0, NEEDED - found.usable):
            st.caption(f"{NEEDED} are needed; annotate {missing} more, of new prompts.")
        st.button("Calibrate", type="primary", disabled=missing > 0 or _is_busy(model), on_click=_start,
                  args=(model, campaign_id))  # fmt: skip
        if problem := st.session_state.get(PROBLEM):
            st.error(plain(problem), icon=":material/error:")


def _unseen(store: Store, model_id: str, campaign_id: str | None) -> Report:
    return learning.freeze(store, campaign_id, policy(store, model_id), unseen_by=model_id).report


def _start(model: Model, campaign_id: str | None) -> None:
    actor = require("lead").id
    st.session_state.pop(PROBLEM, None)
    if _is_busy(model):
        return
    try:
        start_on_model(workbench(), calibrate.KIND, model.id, actor, campaign_id=campaign_id)
    except (JobError, RewardError, StoreError, ValueError) as error:
        st.session_state[PROBLEM] = str(error)
    else:
        st.session_state[OPEN] = False


def _is_busy(model: Model) -> bool:
    return any(is_under_way(*one) for one in _of(model))


def _of(model: Model) -> Listed:
    """The last calibration of the version that was asked for."""
    return [one for one in calibrations() if one[0].label.startswith(f"{called(model)} · ")][:1]


def outcome(model: Model, who: Identity) -> None:
    """How far the last calibration of the version is; once it is done, the version that came of it."""
    for job, status in _of(model):
        if status.state != "done" or is_under_way(job, status):
            jobs([(job, status)], who)
        elif made := next((one for one in read(models.listed, model.name) if one.job_id == job.id), None):
            kept = made.figures["calibrator"]["name"]
            how = "without a calibrator" if kept == "identity" else f"with {kept} calibration"
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(
                    f":green-badge[:material/check: Calibrated anew] It is **{plain(called(made))}** now, {how}, in {made.status}.",
                    width="content",
                )
                st.button("Look at it", type="tertiary", icon=":material/arrow_forward:", on_click=_look, args=(made,))  # fmt: skip


def _look(made: Model) -> None:
    st.session_state[f"calibration version {made.name}"] = made.id
