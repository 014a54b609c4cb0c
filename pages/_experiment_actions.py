"""What a lead does with an experiment: pause, resume, extend, end, deploy."""

from collections.abc import Callable

import streamlit as st

from core.experiments import VARIANTS, Choice, Variant
from core.rewards.base import RewardError
from core.roles import Identity
from jobs.models import deploy_arm
from pages._report import plain
from pages._session import read, read_live, require
from storage import experiments, models
from storage.experiments import MAX_PLANNED, OPEN, Experiment, ExperimentError
from storage.models import ModelError
from storage.workbench import workbench


def actions(one: Experiment, choice: Choice) -> None:
    """The buttons for an experiment as it stands."""
    if one.state == "deployed":
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Deploy…", icon=":material/rocket_launch:", key=f"deploy {one.id}", type="primary" if choice == "deploy treatment" else "secondary",
                  on_click=st.session_state.__setitem__, args=("experiment ask", ("deploy", one.id)))  # fmt: skip
        if one.state not in OPEN:
            return
        if one.state == "running":
            st.button("Pause", icon=":material/pause:", key=f"pause {one.id}", on_click=move, args=(experiments.pause, one.id),
                      help="No new units; those that have an arm keep it, and late outcomes come in.")  # fmt: skip
        else:
            st.button("Resume", icon=":material/play_arrow:", key=f"resume {one.id}", on_click=move,
                      args=(experiments.resume, one.id), help="New units again.")  # fmt: skip
        with st.popover("Extend", icon=":material/more_time:"):
            st.number_input("Planned units", one.target + 1, MAX_PLANNED, min(2 * one.target, MAX_PLANNED), one.planned,
                            key=f"extend to {one.id}", help="The split stays as it is.")  # fmt: skip
            st.button("Extend", key=f"extend {one.id}", type="primary", on_click=extend, args=(one.id,))
        st.button("End…", icon=":material/stop:", key=f"end {one.id}", on_click=st.session_state.__setitem__,
                  args=("experiment ask", ("end", one.id)))  # fmt: skip


def move(change: Callable[..., Experiment], experiment_id: str, *what: int) -> None:
    who = require("lead")
    try:
        change(workbench().store, experiment_id, *what, who.id)
    except ExperimentError as error:
        st.session_state["experiment problem"] = str(error)


def extend(experiment_id: str) -> None:
    move(experiments.extend, experiment_id, st.session_state[f"extend to {experiment_id}"])


def ask(who: Identity) -> None:
    """The confirmation of what was clicked, and what could not be done."""
    if problem := st.session_state.pop("experiment problem", None):
        st.error(plain(problem), icon=":material/error:")
    if (asked := st.session_state.get("experiment ask")) and who.may("lead"):
        step, key = asked
        one = read_live(experiments.get, key)
        title, confirm = ("Deploy an arm?", confirm_deploy) if step == "deploy" else ("End it?", confirm_end)
        st.dialog(title, on_dismiss=forget)(confirm)(one)


def confirm_end(one: Experiment) -> None:
    st.write(f"Every unit gets the control, {arm(one, 'control')}, from the next request on, and no more outcomes are taken. It cannot be "
             "resumed. Pause it first where outcomes are still to come.")  # fmt: skip
    if confirmed("End it"):
        move(experiments.end, one.id)
        forget()
        st.rerun()


def confirm_deploy(one: Experiment) -> None:
    start = VARIANTS.index(read_live(experiments.analyse, one.id).recommendation.arm or "control")
    variant = st.radio("Arm", VARIANTS, start, format_func=lambda name: f"{name}: {arm(one, name)}", key=f"deploy arm {one.id}")  # fmt: skip
    name = one.model(variant).name
    now = read(models.deployed, name)
    place = f", in the place of {plain(now.version)}" if now and now.id != one.model(variant).id else ""
    st.write(
        f"From the next request on {arm(one, variant)} answers for {plain(name)}{place}, and every unit gets it. The experiment ends."
    )
    if confirmed("Deploy"):
        who = require("lead")
        try:
            deploy_arm(workbench(), one.id, variant, who.id)
        except (ExperimentError, ModelError, RewardError) as error:
            st.error(plain(str(error)), icon=":material/error:")
            return
        forget()
        st.rerun()


def confirmed(label: str) -> bool:
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="experiment cancel"):
            forget()
            st.rerun()
        return st.button(label, key="experiment confirm", type="primary")


def forget(*_: object) -> None:
    st.session_state.pop("experiment ask", None)


def arm(one: Experiment, variant: Variant) -> str:
    return f"{plain(one.model(variant).name)} {plain(one.model(variant).version)}"
