"""The versions of a model, and what can be done with one: deploy, roll back, archive, restore, name."""

import streamlit as st

from core.estimate import Estimate
from core.roles import Identity
from pages._model_actions import ACTIONS
from pages._report import plain
from pages._session import allowed, only_campaign, read, require
from storage import learning, models
from storage.models import Model, ModelError
from storage.workbench import workbench

STATUSES = {
    "deployed": (":material/rocket_launch:", "green"),
    "testing": (":material/science:", "blue"),
    "deprecated": (":material/history:", "gray"),
    "archived": (":material/inventory_2:", "orange"),
}
METHODS = {"sbert": "SBERT", "transformer": "Transformer", "trl": "TRL"}
FIGURES = {"accuracy": "Accuracy", "log_loss": "Log loss", "ece": "ECE"}
SIMULATED = " :violet-badge[:material/smart_toy: Simulated annotators]"
USED = (
    "The deployed version answers the scoring API (`POST /api/score`, `/api/rerank`, `/api/predict`) and the Predict page. A request "
    "may name the model, or an alias of any version; without a name the model deployed last answers. Every change is kept in "
    "the history and in the audit."
)


def no_model(who: Identity, here: str) -> None:
    """That no model has been trained, what will be ``here`` once one is, and the way there."""
    st.info(f"There is no model yet. {here}", icon=":material/model_training:")
    if allowed(who, "train"):
        st.page_link("train.py", label="Train a model", icon=":material/arrow_forward:")


def shown(name: str, *, archived: bool = False) -> list[Model]:
    """The versions of a name that the page shows, the latest first: those that learnt from the campaign it is narrowed to."""
    return read(models.listed, name, archived=archived, campaign_id=only_campaign())


def here() -> str:
    """Whose the versions shown are, to put behind the model's name."""
    return " of this campaign" if only_campaign() else ""


def numbered(model: Model) -> str:
    """A version among those of its name."""
    return f"{model.version} · {model.status}"


def versions(name: str, who: Identity) -> None:
    """A card for each version, the latest first."""
    found = shown(name, archived=True)
    archived = [model for model in found if model.status == "archived"]
    st.caption(USED)
    if not any(model.status == "deployed" for model in read(models.listed, name)):
        st.info(
            f"No version of {plain(name)} is deployed, so the scoring API does not use it yet.",
            icon=":material/rocket_launch:",
        )
    everything = bool(archived) and st.toggle(f"Show archived ({len(archived)})", key=f"archived {name}")
    for model in found:
        if everything or model.status != "archived":
            card(model, who)


def card(model: Model, who: Identity) -> None:
    with st.container(border=True):
        left, *tiles = st.columns([5, 2, 2, 2], vertical_alignment="center")
        with left:
            learnt = read(models.lineage, model.id)
            simulated = SIMULATED if learning.policy_of(learnt.learnt).simulated else ""
            st.markdown(f"**{plain(model.version)}** {badges(model)}{simulated}")
            parent = f" · from {plain(learnt.parents[0].version)}" if learnt.parents else ""
            st.caption(
                f"{METHODS.get(model.method, plain(model.method))} on {plain(model.base or 'nothing')}{parent} · "
                f"{model.created_at:%Y-%m-%d %H:%M} UTC  \n"
                f"{learnt.learnt.get('pairs', 0):,} pairs, {len(learnt.annotation_ids):,} annotations"
            )
            if who.may("lead"):
                actions(model, who)
        for column, (key, label) in zip(tiles, FIGURES.items(), strict=True):
            estimate = figure(model, key)
            value = "–" if estimate.value is None else f"{estimate.value:.3f}"
            span = "no interval" if estimate.low is None else f"{estimate.low:.3f} to {estimate.high:.3f}"
            column.metric(label, value, f"{span} · n {estimate.n:,}", delta_color="off", delta_arrow="off",
                          help=estimate.reason or "On the pairs held out of its training, as they were labelled then.")  # fmt: skip


def badges(model: Model) -> str:
    """The status and the aliases as badges."""
    icon, colour = STATUSES[model.status]
    names = "".join(f" :violet-badge[:material/label: {plain(alias)}]" for alias in model.aliases)
    return f":{colour}-badge[{icon} {model.status}]{names}"


def figure(model: Model, key: str) -> Estimate:
    """One of FIGURES as the job measured it on the held-out test split."""
    found = model.figures.get(key)
    return Estimate(**found) if found else Estimate.unavailable("The job did not measure it.")


def actions(model: Model, who: Identity) -> None:
    """What a lead may do with the version as it stands."""
    offered = {
        "deployed": ["Roll back"],
        "testing": ["Deploy", "Archive"],
        "deprecated": ["Deploy", "Archive"],
        "archived": ["Restore"],
    }[model.status]
    with st.container(horizontal=True, vertical_alignment="center"):
        for name in offered:
            st.button(name, icon=ACTIONS[name].icon, key=f"{name} {model.id}", type="secondary",
                      on_click=st.session_state.__setitem__, args=("models ask", (name, model.id)))  # fmt: skip
        if model.status != "archived":
            with st.popover("Aliases", icon=":material/label:"):
                aliases(model, who)


def aliases(model: Model, who: Identity) -> None:
    """Put a name on the version, or take one off; a name stands on one version at a time."""
    st.text_input("New alias", max_chars=models.MAX_NAME, key=f"alias {model.id}", placeholder="champion",
                  help="It moves here if another version has it.")  # fmt: skip
    st.button("Add", key=f"add alias {model.id}", on_click=put_alias, args=(model, who.id))
    if problem := st.session_state.pop(f"alias problem {model.id}", None):
        st.error(problem, icon=":material/error:")
    for alias in model.aliases:
        st.button(f"Remove {plain(alias)}", key=f"drop {alias} {model.id}", icon=":material/close:", type="tertiary",
                  on_click=drop_alias, args=(model, alias, who.id))  # fmt: skip


def put_alias(model: Model, actor: str) -> None:
    require("lead")
    try:
        models.set_alias(workbench().store, model.id, st.session_state[f"alias {model.id}"], actor)
    except ModelError as error:
        st.session_state[f"alias problem {model.id}"] = str(error)
    else:
        st.session_state[f"alias {model.id}"] = ""


def drop_alias(model: Model, alias: str, actor: str) -> None:
    require("lead")
    try:
        models.drop_alias(workbench().store, model.id, alias, actor)
    except ModelError as error:
        st.session_state[f"alias problem {model.id}"] = str(error)
