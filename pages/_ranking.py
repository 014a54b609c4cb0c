"""Candidates in order of predicted quality: typed, or taken from a pair."""

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from core.preferences import prompt_text
from core.records import Message
from core.roles import Identity
from pages._pair import readable
from pages._predicted import standing
from pages._ranked import Ranking, fallback, ranked, said_by
from pages._ranking_file import whole_file
from pages._session import campaign, read
from storage import models, pairs
from storage.workbench import workbench

MOST = 10
FOUND = 30
SOURCES = {"Type": "Typed answers", "File": "A file of answers"}
SHOWN = 1_500
"""Characters of an answer in the ranking."""
MOST_SURE = 0.999


def rank(who: Identity) -> None:
    with st.container(horizontal=True, vertical_alignment="bottom"):
        asked = version()
        source = st.segmented_control("Answers", SOURCES, default="Type", required=True, key="rank source",
                                      format_func=SOURCES.__getitem__, label_visibility="collapsed", persist_state="session")  # fmt: skip
        if source == "Type":
            with st.popover("Take from a pair", icon=":material/splitscreen_right:"):
                take()
    if source == "Type":
        typed(asked)
    else:
        whole_file(asked)


def version() -> str | None:
    """The version that is to rank: the deployed one unless another is chosen."""
    found = {model.id: model for model in read(models.listed)}
    deployed = read(models.deployed)
    return st.selectbox(
        "Model", found, index=list(found).index(deployed.id) if deployed else None, width=420,
        key=f"rank model {deployed.id if deployed else ''}", persist_state="session",
        format_func=lambda key: standing(found[key]), disabled=not found,
        placeholder="None is deployed: choose one to try" if found else "None has been trained yet",
    )  # fmt: skip


def take() -> None:
    """Choose a pair; its prompt and answers are typed in."""
    search = st.text_input(
        "Find a pair", placeholder="Words in the prompt, or the id of a pair", key="rank search"
    )
    rows, _ = read(pairs.page, search=search.strip(), campaign_id=campaign().id, limit=FOUND)
    if not rows:
        st.caption("No pair of this campaign matches.")
        return
    key = f"rank pairs {search}"
    cards = workbench().desks.cards.of([row["id"] for row in rows])
    shown = pd.DataFrame(
        [(card.prompt.text, card.a.text, card.b.text) for card in (cards[row["id"]] for row in rows)],
        columns=["Prompt", "Answer A", "Answer B"],
    )
    st.dataframe(
        shown, hide_index=True, height=min(37 + 35 * len(rows), 320), width=600, key=key, selection_mode=["single-row", "single-cell"],
        on_select=lambda: _taken(key, [row["id"] for row in rows]),
        column_config={name: st.column_config.TextColumn(width=182) for name in shown.columns},
    )  # fmt: skip


def _taken(key: str, ids: Sequence[str]) -> None:
    chosen = st.session_state[key].selection
    for row in [*chosen.rows, *(row for row, _ in chosen.cells)]:
        card = workbench().desks.cards.get(ids[row])
        if card is not None:
            turns = card.prompt.messages
            asked = prompt_text([Message(**turn) for turn in turns]) if turns else card.prompt.text
            st.session_state.update(
                {"rank prompt": asked, "rank answer 0": card.a.text, "rank answer 1": card.b.text}
            )
            st.session_state["rank answers"] = 2
            st.session_state.pop("ranking", None)


def typed(asked: str | None) -> None:
    n = st.session_state.setdefault("rank answers", 2)
    prompt = st.text_area("Prompt", height=90, key="rank prompt", persist_state="session")
    columns = st.columns(2)
    answers = [
        columns[i % 2].text_area(f"Answer {i + 1}", height=130, key=f"rank answer {i}", persist_state="session") for i in range(n)
    ]  # fmt: skip
    with st.container(horizontal=True, vertical_alignment="center"):
        go = st.button("Rank", type="primary", icon=":material/sort:")
        st.button("Add an answer", icon=":material/add:", on_click=_count, args=(n + 1,), disabled=n == MOST)
        st.button(
            "Remove the last", icon=":material/remove:", on_click=_count, args=(n - 1,), disabled=n == 2
        )
    if go:
        given = [answer for answer in answers if answer.strip()]
        if not prompt.strip() or len(given) < 2:
            st.warning("Give a prompt and two answers or more.", icon=":material/edit:")
            return
        st.session_state["ranking"] = asked, ranked([(prompt, given)], asked)[0]
    by, ranking = st.session_state.get("ranking", (None, None))
    if ranking is not None and by == asked:
        draw(ranking)


def _count(n: int) -> None:
    st.session_state["rank answers"] = n


def draw(ranking: Ranking) -> None:
    """The answers, the best first, and who said so."""
    st.subheader("Ranking", anchor=False)
    if ranking.model is None:
        fallback(ranking)
    for place, answer in enumerate(ranking.answers):
        with st.container(border=True):
            text, said = st.columns([4, 1], gap="medium")
            text.markdown(f"**{place + 1}** · Answer {ranking.place[place] + 1}")
            more = len(answer) > SHOWN
            text.markdown(readable(answer[:SHOWN]) + (" …" if more else ""))
            if ranking.model is not None:
                said.caption(
                    f"Reward {ranking.reward[place]:+.2f}",
                    help="Only differences of rewards of the same prompt mean something.",
                )
                if place < len(ranking.over_next):
                    sure = ranking.over_next[place]
                    said.progress(sure, text=f"**{min(sure, MOST_SURE):.1%}** preferred to the next")
    if ranking.model is not None:
        said_by(ranking.model)
