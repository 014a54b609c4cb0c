"""Two answers to every prompt: choose prompts and models, try one, start the job, watch it."""

import streamlit as st

from core.generation import CREATIVE, FOCUSED, MOST_CANDIDATES, ProviderError, Sampling, Side
from core.records import Prompt
from core.roles import Identity
from jobs import ingest
from pages._job import jobs, live, of_campaign
from pages._pair import readable
from pages._report import plain
from pages._session import campaign, read, require
from providers import available, connect
from providers.base import answering
from storage import prompts
from storage.tables import CampaignRow
from storage.workbench import workbench

MOST_WORKERS = 32
USUAL = 1000


def main() -> None:
    require("lead")
    here = campaign().id
    live(page, lambda: of_campaign(here))


def page() -> None:
    who, here = require("lead"), campaign()
    st.title("Generate", anchor=False)
    st.caption(f"Two models answer each prompt; the pairs go into the campaign **{plain(here.name)}**.")
    wanted, total = choose(here)
    if total:
        left, right = st.columns(2)
        with left.container(border=True):
            a = side("A", "focused", FOCUSED)
        with right.container(border=True):
            b = side("B", "creative", CREATIVE)
        start(who, here, wanted, total, a, b)
    st.subheader("Jobs of this campaign", anchor=False)
    found = of_campaign(here.id)
    if not found:
        st.caption("No job has run in this campaign yet.")
    jobs(found, who)


def choose(here: CampaignRow) -> tuple[dict[str, object], int]:
    """The filter that says which prompts, and how many there are."""
    search_box, category_box, tag_box, all_box = st.columns([4, 3, 2, 2.6], vertical_alignment="bottom")
    search = search_box.text_input("Search prompts", placeholder="Words in the text, or an id")
    counts = dict(read(prompts.categories))
    categories = category_box.multiselect(
        "Category", counts, format_func=lambda n: f"{n} ({counts[n]:,})", placeholder="All"
    )
    tag = tag_box.selectbox("Tag", read(prompts.tags), index=None, placeholder="All")
    again = all_box.toggle(
        "Also those with pairs", help="Otherwise only prompts that have no pair in this campaign yet."
    )
    wanted = {"search": search.strip(), "categories": tuple(categories), "tag": tag,
              "without_pairs_in": None if again else here.id}  # fmt: skip
    total = read(prompts.page, **wanted, limit=1)[1]
    if not counts:
        st.info("There are no prompts yet. Add some first.", icon=":material/chat_bubble:")
        st.page_link("prompts.py", label="Go to Prompts", icon=":material/arrow_forward:")
    elif not total:
        st.info("Every prompt that matches has a pair in this campaign. Widen the filter, or switch on “Also those with "
                "pairs”.", icon=":material/done_all:")  # fmt: skip
    return wanted, total


def side(letter: str, manner: str, default: Side) -> Side | None:
    """One side's provider and sampling; None where that provider is not set up."""
    missing = available(workbench().settings)
    kept = {"persist_state": "session"}
    st.markdown(f"**Answer {letter}** · {manner}")
    left, right = st.columns(2)
    provider = left.selectbox(
        "Provider", missing, format_func=lambda name: f"{name} · not set up" if missing[name] else name,
        key=f"provider {letter}", **kept,
    )  # fmt: skip
    model = right.text_input("Model", key=f"model {letter}", placeholder="The provider’s default", **kept)
    temperature = left.slider("Temperature", 0.0, 2.0, default.sampling.temperature, 0.05, key=f"temperature {letter}",
                              help="At 0 the likeliest word is always taken; higher varies more.", **kept)  # fmt: skip
    tokens = right.number_input(
        "Max tokens", 1, 200_000, default.sampling.max_tokens, key=f"tokens {letter}", **kept
    )
    system = st.text_area("System prompt", key=f"system {letter}", height=70, placeholder="None", **kept)
    if reason := missing[provider]:
        st.warning(plain(reason), icon=":material/key:")
        return None
    return Side(provider, Sampling(model.strip() or None, temperature, int(tokens), system.strip() or None))


def start(
    who: Identity, here: CampaignRow, wanted: dict[str, object], total: int, a: Side | None, b: Side | None
) -> None:
    turn = st.session_state.setdefault("generate turn", 0)
    with st.container(horizontal=True, vertical_alignment="bottom"):
        count = st.number_input(f"Prompts, of {total:,}", 1, total, min(total, USUAL), key=f"count {wanted}", width=160,
                                help="The newest first.")  # fmt: skip
        workers = st.number_input(
            "At once", 1, MOST_WORKERS, 4, width=110, help="Prompts under way at the same time."
        )
        candidates = st.number_input("Answers a prompt", 2, MOST_CANDIDATES, 2, width=150,
                                     help="One by A, the rest by B; each of B’s makes a pair with A’s.")  # fmt: skip
        off = a is None or b is None
        st.button(
            "Try on one",
            icon=":material/science:",
            disabled=off,
            on_click=attempt,
            args=(wanted, total, a, b),
        )
        pairs = count * (candidates - 1)
        st.button(f"Generate {pairs:,} pair{'s' if pairs > 1 else ''}", type="primary", icon=":material/auto_awesome:",
                  key=f"generate {turn}", disabled=off, on_click=launch, args=(turn, here.id, wanted, int(count), a, b, int(workers), int(candidates), who.id))  # fmt: skip
    if "trial" in st.session_state:
        trial(*st.session_state["trial"])


def launch(
    turn: int,
    campaign_id: str,
    wanted: dict[str, object],
    count: int,
    a: Side,
    b: Side,
    workers: int,
    candidates: int,
    actor: str,
) -> None:
    """Start the job, once for each time the page offered it."""
    if turn != st.session_state["generate turn"]:
        return
    rows, _ = prompts.page(workbench().store, **wanted, limit=count)
    ingest.start_generation(
        workbench(), [prompts.record(row) for row in rows], campaign_id, a, b, workers, actor, candidates
    )
    st.session_state["generate turn"] = turn + 1
    st.session_state.pop("trial", None)


def attempt(wanted: dict[str, object], total: int, a: Side, b: Side) -> None:
    """Answer one prompt of those chosen, the next one at every click."""
    number = st.session_state.get("trial number", 0)
    rows, _ = prompts.page(workbench().store, **wanted, offset=number % total, limit=1)
    prompt = prompts.record(rows[0])
    with st.spinner("Both models are answering…"):
        st.session_state["trial"] = (prompt, ask(prompt, a), ask(prompt, b))
    st.session_state["trial number"] = number + 1


def ask(prompt: Prompt, side: Side) -> tuple[str | None, str]:
    """The model and its answer; no model, and why, where there is none."""
    if side.provider == "hf_local":
        return None, "A model of this machine is loaded by a job, not for a trial: press Generate."
    try:
        response = answering(connect(side.provider, workbench().settings), side)(prompt, 0)
    except (ProviderError, ValueError) as error:
        return None, str(error)
    return response.model or side.provider, response.text


def trial(prompt: Prompt, *answers: tuple[str | None, str]) -> None:
    with st.container(border=True):
        st.caption("A trial; nothing is kept.")
        st.markdown(readable(prompt.text[:2000]))
        for column, letter, (model, text) in zip(st.columns(2), "AB", answers, strict=True):
            with column.container(border=True, height=280):
                st.caption(f"Answer {letter} · {plain(model or 'failed')}")
                if model is None:
                    st.error(plain(text), icon=":material/error:")
                else:
                    st.markdown(readable(text))


main()
