"""Pairs with what a model said of them: a table, and the pair one clicks with its texts and votes."""

from collections import Counter

import pandas as pd
import streamlit as st

from pages._pair import answers, prompt
from pages._session import campaign, read
from storage import annotations
from storage.desk import ADJUDICATION
from storage.workbench import workbench

LISTED = 200
CHOICES = {"a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad", "skip": "Skipped"}


def pairs_table(table: pd.DataFrame, key: str, **columns: object) -> None:
    """Rows with a ``pair_id``, the first LISTED; a click on one shows the pair below. ``columns``: how the others look."""
    listed = table.head(LISTED)
    cards = workbench().desks.cards.of(listed["pair_id"])
    shown = listed.drop(columns="pair_id")
    shown.insert(
        0, "prompt", [cards[pair_id].prompt.text if pair_id in cards else "" for pair_id in listed["pair_id"]]
    )
    more = f" The first {LISTED} of {len(table):,}." if len(table) > LISTED else ""
    st.caption(f"Click a pair to read it.{more}")
    picked = st.dataframe(
        shown,
        hide_index=True,
        height=min(37 + 35 * len(shown), 320),
        on_select="rerun",
        selection_mode=["single-row", "single-cell"],
        key=key,
        column_config={"prompt": st.column_config.TextColumn("Prompt", width="large"), **columns},
    ).selection
    for row in [*picked.rows, *(row for row, _ in picked.cells)][:1]:
        if row < len(listed):
            one(str(listed["pair_id"].iloc[row]), key)


def one(pair_id: str, key: str) -> None:
    """A pair's prompt, both answers and the votes that stand."""
    card = workbench().desks.cards.get(pair_id)
    if card is None:
        st.warning("There is no such pair any more.", icon=":material/search_off:")
        return
    with st.container(border=True):
        prompt(card)
        for column, letter in zip(st.columns(2), "AB", strict=True):
            column.markdown(f"**{letter}**")
        answers(card, a_left=True, differences=False, unmasked=True)
        found = read(annotations.history, pair_id)
        standing = [row for row in found if row["state"] == "stands"]
        votes = Counter(
            row["preferred"] or row["verdict"] for row in standing if row["source"] != ADJUDICATION
        )
        told = " · ".join(f"{label} **{votes[name]}**" for name, label in CHOICES.items() if votes[name])
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"Votes: {told or 'none that stands'}", width="stretch")
            if st.button("Open on the Pairs page", key=f"{key} open", icon=":material/arrow_forward:"):
                st.session_state["open pair"] = (campaign().id, pair_id)
                st.switch_page("pairs.py")
