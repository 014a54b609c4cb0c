"""A new drift run: of what, which two windows, and the job that is under way."""

from datetime import date
from typing import Any

import streamlit as st

from core.drift_figures import days_figure
from core.populations import Window, proposed
from core.roles import Identity
from jobs import learning
from jobs.protocol import JobError
from pages._job import Listed, card
from pages._predicted import standing
from pages._report import plain
from pages._session import campaign, read
from storage import annotations, drift, models
from storage.campaigns import CampaignError
from storage.drift import POPULATIONS, Scope
from storage.models import ModelError
from storage.store import StoreError
from storage.workbench import workbench

KEPT: dict[str, Any] = {"persist_state": "session"}
OWN = "Days of my own"
MEANT = {
    "pairs": "Each pair with its prompt and both answers. The one with labels, errors and calibration.",
    "answers": "Each answer once in a window.",
    "prompts": "Each prompt once in a window.",
    "errors": "The pairs that a model gets wrong: where its errors are, and which are new.",
}
VIEWS = {"semantic": "By meaning", "tfidf": "By words"}
BY = {"judged": "When judged", "added": "When added"}
SHOWN = 5


def new(who: Identity, found: Listed) -> None:
    """What to look at, the way to start it, and the runs so far."""
    turn = st.session_state.setdefault("drift turn", 0)
    wanted = scope()
    days = read(drift.days, wanted)
    windows = choose(days)
    view = st.segmented_control("Texts are alike", VIEWS, default="semantic", required=True, format_func=VIEWS.__getitem__, key="drift texts",
                                help="By meaning: a small encoder reads every text once (MiniLM, then UMAP and HDBSCAN). By words: TF-IDF.",
                                **KEPT)  # fmt: skip
    st.button("Compare the windows", type="primary", icon=":material/compare_arrows:", key=f"drift start {turn}", on_click=launch,
              args=(turn, wanted, windows, view, who.id), disabled=windows is None or not who.may("lead"),
              help=None if who.may("lead") else "A lead can start a run.")  # fmt: skip
    if error := st.session_state.get("drift error"):
        st.error(plain(error), icon=":material/error:")
    if found:
        st.subheader("Runs", anchor=False)
    for job, status in found[:SHOWN]:
        with st.container(border=True):
            card(job, status, who)


def scope() -> Scope:
    """The population, and what it is narrowed to."""
    kept: dict[str, Any] = {**KEPT}
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        population = st.segmented_control("What to look at", POPULATIONS, default="pairs", required=True, format_func=str.capitalize,
                                          key="drift population", **kept)  # fmt: skip
        by = st.segmented_control(
            "A pair’s time",
            BY,
            default="judged",
            required=True,
            format_func=BY.__getitem__,
            key="drift by",
            **kept,
        )
        everywhere = st.toggle("All campaigns", key="drift everywhere", **kept)
        here = None if everywhere else campaign().id
        category = st.selectbox("Category", read(annotations.categories, here), index=None, placeholder="All", width=150,
                                key="drift category", **kept)  # fmt: skip
    st.caption(MEANT[population])
    kinds = read(annotations.kinds, here)
    simulated = False
    if kinds.get("simulated"):
        simulated = st.toggle(
            "Simulated annotators count",
            value=set(kinds) == {"simulated"},
            key=f"drift simulated {here}",
            **kept,
        )
    model_id, other_id = chosen_models(population)
    return Scope(population, here, category, by, simulated, model_id, other_id)


def chosen_models(population: str) -> tuple[str | None, str | None]:
    """The model whose errors are told, the deployed one (else the newest) unless another is chosen, and the one held against it."""
    found = {model.id: model for model in read(models.listed)}
    if population not in ("pairs", "errors") or not found:
        return None, None
    deployed = next(
        (place for place, model in enumerate(found.values(), start=1) if model.status == "deployed"), 1
    )

    def named(key: str | None) -> str:
        return standing(found[key]) if key else "None"

    with st.container(horizontal=True):
        first = st.selectbox("Model", [None, *found], deployed, format_func=named, key="drift model", width=320, **KEPT,
                             help="Its errors and its confidence, on pairs that it had not seen, are told by cluster.")  # fmt: skip
        second = st.selectbox("Flips against", [None, *(key for key in found if key != first)], format_func=named, key=f"drift other {first}",
                              width=320, disabled=first is None, **KEPT)  # fmt: skip
    return first, second if first else None


def choose(days: list[tuple[date, int]]) -> tuple[Window, Window] | None:
    """The two windows; None where there cannot be two, and then the page says why."""
    offers = proposed(days)
    if not days:
        st.info(
            "There is nothing here with a time yet: judge pairs, or narrow it less.",
            icon=":material/calendar_month:",
        )
        st.page_link("annotate.py", label="Annotate", icon=":material/arrow_forward:")
        return None
    if not offers:
        st.info(f"Everything is of one day, {days[0][0]}; two windows need two days. Come back tomorrow, or import pairs with the times of "
                "their judgements.", icon=":material/calendar_month:")  # fmt: skip
        return None
    name = st.pills("Windows", [*offers, OWN], default=next(iter(offers)), key="drift windows", **KEPT)
    windows = own(days) if name == OWN else offers.get(name or "")
    if windows is None:
        st.caption("Choose two windows.")
        return None
    st.plotly_chart(days_figure(days, windows, (str(windows[0]), str(windows[1]))), key="drift days", config={"displayModeBar": False},
                    alt="Pairs a day, with the two windows")  # fmt: skip
    return windows


def own(days: list[tuple[date, int]]) -> tuple[Window, Window] | None:
    """Two windows by their first and last days."""
    first, last = days[0][0], days[-1][0]
    found = []
    usual = next(iter(proposed(days).values()))
    for column, name, window in zip(
        st.columns([2, 2, 3]), ("First window", "Second window"), usual, strict=False
    ):
        picked = column.date_input(
            name,
            (max(first, window.first), min(last, window.last)),
            first,
            last,
            key=f"drift days {name}",
            **KEPT,
        )
        if isinstance(picked, tuple) and len(picked) == 2:
            found.append(Window(*picked))
    return (found[0], found[1]) if len(found) == 2 else None


def launch(turn: int, wanted: Scope, windows: tuple[Window, Window], view: str, actor: str) -> None:
    """Start the run, once for each time the page offered it."""
    if turn != st.session_state["drift turn"]:
        return
    try:
        job = learning.start_drift(
            workbench(), wanted, windows, actor, view="tfidf" if view == "tfidf" else "semantic"
        )
    except (JobError, ModelError, CampaignError, StoreError, ValueError) as error:
        st.session_state["drift error"] = str(error)
        return
    st.session_state.pop("drift error", None)
    st.session_state["drift turn"] = turn + 1
    st.session_state["drift awaited"] = job.id
