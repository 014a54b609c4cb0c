"""What a lead does with a version of a model: asked for, confirmed, carried out, told."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import streamlit as st

from core.rewards.base import RewardError
from core.roles import Identity
from jobs.models import deploy, roll_back
from pages._report import plain
from pages._session import read, require
from storage import models
from storage.models import Model, ModelError
from storage.workbench import workbench


@dataclass(frozen=True)
class Action:
    """What can be done with a version, what it means, and how it is done."""

    icon: str
    means: str
    do: Callable[[Model, str], Model]


ACTIONS = {
    "Deploy": Action(
        ":material/rocket_launch:",
        "From the next request on the scoring API and the Predict page use this version.",
        lambda model, actor: deploy(workbench(), model.id, actor),
    ),
    "Roll back": Action(
        ":material/undo:",
        "The version that was deployed before this one is deployed again, and answers from the next request on.",
        lambda model, actor: roll_back(workbench(), model.id, actor),
    ),
    "Archive": Action(
        ":material/inventory_2:",
        "It can no longer be deployed and leaves the lists. Its files, figures and lineage are kept; it can be restored.",
        lambda model, actor: models.archive(workbench().store, model.id, actor),
    ),
    "Restore": Action(
        ":material/unarchive:",
        "It is back in testing, and can be deployed.",
        lambda model, actor: models.restore(workbench().store, model.id, actor),
    ),
}


def ask(who: Identity) -> None:
    """The confirmation of what was clicked, and what came of it."""
    if done := st.session_state.pop("models done", None):
        st.toast(done, icon=":material/check:")
    if (asked := st.session_state.get("models ask")) and who.may("lead"):
        name, model_id = asked
        model = read(models.get, model_id)
        st.dialog(f"{name} {plain(model.name)} {model.version}?", on_dismiss=forget)(confirm)(
            name, model, who
        )


def confirm(name: str, model: Model, who: Identity) -> None:
    st.write(ACTIONS[name].means)
    now = read(models.deployed, model.name)
    if name == "Deploy" and now is not None:
        st.write(f"Version {plain(now.version)}, deployed now, becomes deprecated; you can roll back to it.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Cancel", key="models cancel"):
            forget()
            st.rerun()
        if st.button(name, key="models confirm", type="primary", icon=ACTIONS[name].icon):
            carry_out(name, model, who)


def carry_out(name: str, model: Model, who: Identity) -> None:
    require("lead")
    try:
        now = ACTIONS[name].do(model, who.id)
    except (ModelError, RewardError) as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    forget()
    st.session_state["models done"] = f"{plain(now.name)} {now.version} is {now.status}."
    st.rerun()


def forget(*_: Any) -> None:
    st.session_state.pop("models ask", None)
