"""Train: a reward model from what people said, started with a button and watched while it learns."""

import streamlit as st

from core.rewards.base import RewardError
from core.roles import Identity
from jobs import ingest, learning
from jobs.protocol import JobError
from pages._job import Listed, is_under_way, live
from pages._report import plain
from pages._session import require
from pages._training import training
from pages._training_form import Plan, Scope, plan, ready, scope
from storage.campaigns import CampaignError
from storage.models import ModelError
from storage.store import StoreError
from storage.workbench import workbench

NEW, RUNS = "New training", "Trainings"
SHOWN = 30


def main() -> None:
    require("lead")
    live(page, listed)


def listed() -> Listed:
    return ingest.listed(workbench(), SHOWN, ["train-reward"])


def page() -> None:
    who, found = require("lead"), listed()
    st.title("Train", anchor=False)
    if "train view" not in st.session_state:
        st.session_state["train view"] = RUNS if any(is_under_way(*one) for one in found) else NEW
    view = st.segmented_control("View", [NEW, RUNS], required=True, key="train view", label_visibility="collapsed",
                                persist_state="session")  # fmt: skip
    if view == NEW:
        new(who)
    else:
        runs(found, who)


def new(who: Identity) -> None:
    turn = st.session_state.setdefault("train turn", 0)
    wanted = scope()
    enough = ready(wanted)
    how = plan(wanted.name)
    if not wanted.name:
        st.info("Give the model a name.", icon=":material/edit:")
    st.button("Train", type="primary", icon=":material/model_training:", key=f"train {turn}", disabled=not (enough and wanted.name),
              on_click=launch, args=(turn, wanted, how, who.id))  # fmt: skip
    if error := st.session_state.get("train error"):
        st.error(plain(error), icon=":material/error:")


def launch(turn: int, wanted: Scope, how: Plan, actor: str) -> None:
    """Start the training, once for each time the page offered it."""
    if turn != st.session_state["train turn"]:
        return
    settings = {"method": how.method, **how.settings}
    try:
        job = learning.start_training(
            workbench(), wanted.name, actor, campaign_id=wanted.campaign_id, category=wanted.category, policy=wanted.policy,
            parent_id=how.parent_id, emphasise=how.emphasise, priority=how.priority, time_limit=how.time_limit, **settings,
        )  # fmt: skip
    except (JobError, ModelError, CampaignError, RewardError, StoreError, ValueError) as error:
        st.session_state["train error"] = str(error)
        return
    st.session_state.pop("train error", None)
    st.session_state["train turn"] = turn + 1
    st.session_state["train view"], st.session_state["train run"] = RUNS, job.id


def runs(found: Listed, who: Identity) -> None:
    if not found:
        st.info("Nothing has been trained yet.", icon=":material/model_training:")
        return
    by_id = {job.id: (job, status) for job, status in found}
    if st.session_state.get("train run") not in by_id:
        st.session_state["train run"] = next(iter(by_id))
    chosen = st.selectbox("Training", by_id, key="train run", label_visibility="collapsed", persist_state="session", width=520,
                          format_func=lambda one: f"{by_id[one][0].label} · {by_id[one][0].created_at:%Y-%m-%d %H:%M:%S}")  # fmt: skip
    training(*by_id[chosen], who)


main()
