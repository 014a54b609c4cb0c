"""Fine-tuning at a provider with the rows of an export: what it would cost, the button, and what came of a job."""

from dataclasses import replace
from urllib.parse import urlsplit

import streamlit as st

from core.exporting import InvalidRow, Policy
from core.fine_tuning import ENDED, LONGEST_SUFFIX, MOST_EPOCHS, SHAPES, Plan, Tuning, plan
from core.generation import ProviderError
from jobs.fine_tune import noted
from jobs.learning import start_fine_tuning
from jobs.protocol import JobError, Run
from pages._export import exported
from pages._report import plain
from pages._session import identity
from providers import available
from storage.exports import Method
from storage.workbench import workbench

NAMES = {"preference": "Both answers (DPO)", "supervised": "Chosen answers alone"}
USUAL_EPOCHS = 3


def fine_tune(
    campaign_id: str,
    category: str | None,
    method: Method,
    policy: Policy,
    simulated: bool,
) -> None:
    """The form, the estimate at once, and the button; the rows are those of the policy as chats, without ties."""
    chats = replace(policy, shape="conversational", ties="drop", details=False)
    store = workbench().store
    with st.container(border=True):
        if tuning := form():
            try:
                found = planned(
                    (id(store), store.revision), campaign_id, category, method, chats, simulated, tuning
                )
            except InvalidRow as error:
                st.error(
                    plain(f"This cannot be sent: {error}. Archive or correct that pair."),
                    icon=":material/error:",
                )
                return
            estimate(found)
            ready = may_go(found)
            turn = st.session_state.setdefault("tune turn", 0)
            st.button("Send and fine-tune", type="primary", icon=":material/model_training:", key=f"tune {turn}",
                      disabled=not ready, on_click=launch, args=(turn, found, campaign_id))  # fmt: skip
        if told := st.session_state.pop("tune told", None):
            st.success(told, icon=":material/check:")
            st.page_link("job_queue.py", label="Watch it on Jobs", icon=":material/arrow_forward:")


@st.cache_resource(max_entries=2, ttl="10m", show_spinner="Counting what would be sent…")
def planned(
    at: object,
    campaign_id: str,
    category: str | None,
    method: Method,
    policy: Policy,
    simulated: bool,
    tuning: Tuning,
) -> Plan:
    return plan(exported(campaign_id, category, method, policy, simulated), tuning)


def form() -> Tuning | None:
    """What is asked of the provider; None where something is missing, which is said."""
    kept = {"persist_state": "session"}
    shape = st.segmented_control("Learn from", SHAPES[::-1], format_func=NAMES.__getitem__, default="preference", required=True,
                                 key="tune shape", help="DPO raises the chosen answer above the rejected one; not every "
                                 "model takes it.", **kept)  # fmt: skip
    left, right = st.columns(2)
    model = left.text_input("Model to start from", key="tune model", placeholder="gpt-4.1-mini-2025-04-14",
                            help="As the provider calls it.", **kept)  # fmt: skip
    suffix = right.text_input("Suffix", key="tune suffix", placeholder="None", max_chars=LONGEST_SUFFIX,
                              help="Becomes part of the new model’s name.", **kept)  # fmt: skip
    one, two, three = st.columns(3)
    epochs = one.number_input("Epochs", 1, MOST_EPOCHS, USUAL_EPOCHS, key="tune epochs", **kept)
    price = two.number_input("Price of 1M tokens", 0.0, 1e6, None, key="tune price", placeholder="Provider’s", **kept,
                             help="What the provider asks for a million trained tokens of this model.")  # fmt: skip
    budget = three.number_input("Budget", 0.0, 1e9, None, key="tune budget", placeholder="At most",
                                help="Above it nothing is sent. In the currency of the price.", **kept)  # fmt: skip
    if not model.strip() or price is None or not budget:
        st.caption(
            "Name the model, its price and your budget: what it would cost is shown before anything is sent."
        )
        return None
    return Tuning(model.strip(), shape, int(epochs), price, budget, suffix.strip() or None)


def estimate(found: Plan) -> None:
    tuning = found.tuning
    st.markdown(
        f"About **{found.cost:,.2f}** of a budget of **{tuning.budget:,.2f}**, for **{len(found.train):,}** examples."
    )
    st.caption(
        f"{found.tokens:,} tokens × {tuning.epochs} epochs × {tuning.price:,.2f} a million, estimated from the length of the texts, "
        "rather too much than too little: the provider counts in its own way. "
        f"{'A chosen answer goes once, however often it won. ' if tuning.shape == 'supervised' else ''}"
        f"{len(found.validation):,} more go along for validation, {found.kept_back:,} of the test part stay here."
    )
    for warning in found.warnings:
        st.caption(f":material/info: {warning}")


def may_go(found: Plan) -> bool:
    """Whether it may be sent: else why not; and where to."""
    settings = workbench().settings
    missing = available(settings)[found.tuning.provider]
    if reason := missing or found.refusal:
        st.error(plain(reason), icon=":material/key:" if missing else ":material/block:")
        return False
    where = urlsplit(settings.openai_base_url).hostname or "OpenAI"
    st.warning(
        f"These texts leave the house for **{plain(where)}**, as they are: names and other personal details in them are not masked.",
        icon=":material/outbound:",
    )
    return True


def launch(turn: int, found: Plan, campaign_id: str) -> None:
    """Start the job for whoever is a lead still, once for each time the page offered it."""
    who = identity()
    if who is None or not who.may("lead") or turn != st.session_state["tune turn"]:
        return
    try:
        job = start_fine_tuning(workbench(), found, who.id, campaign_id)
    except (JobError, ProviderError) as error:
        st.toast(plain(str(error)), icon=":material/error:")
        return
    st.session_state["tune turn"] = turn + 1
    st.session_state["tune told"] = f"{plain(job.label)} is on its way."


def outcome(run: Run) -> None:
    """What the provider calls a job, what it made and cost, and whether it may run there still."""
    found, there = run.figures(), noted(run)
    if model := found.get("fine_tuned_model"):
        st.markdown(f"It made **{plain(model)}**: name it on Generate as a model of openai.")
    said = [f"{there['job']} at the provider"] if "job" in there else []
    if tokens := found.get("trained_tokens"):
        said.append(f"{tokens:,} tokens trained, which cost {found['cost']:,.2f}")
    elif said and run.result() is None:
        said.append(f"about {run.job()['arguments']['estimate']['cost']:,.2f} expected")
    elif said and there.get("status") not in ENDED:
        said.append("it may go on there: go on here to follow or to cancel it")
    if said:
        st.caption(plain(" · ".join(said)))
