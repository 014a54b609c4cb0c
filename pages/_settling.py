"""Where annotators disagree, and what the two consensus methods make of it."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.consensus import UNDECIDED
from pages._agreement import Settled, disagreements, settled
from pages._session import allowed, campaign, read, require
from storage.workbench import workbench

LISTED = 100
CHOICES = {"a": "A", "b": "B", "tie": "Tie", "both_bad": "Both bad", "": "open"}
METHODS = {
    "Majority": "The choice most annotators made; a draw is left open.",
    "Dawid-Skene": "The likeliest choice, weighing each annotator by the errors they seem to make (Dawid and Skene, 1979).",
}


def disagreed(*scope: Any) -> None:
    found = read(disagreements, *scope, LISTED)
    pairs_list(found, "Nobody disagrees: no pair has two annotators who chose differently.")
    if (
        len(found)
        and allowed(require(), "adjudicate")
        and st.button("Settle them, without seeing the votes first", icon=":material/gavel:")
    ):
        st.switch_page("adjudicate.py")


def pairs_list(table: pd.DataFrame, otherwise: str) -> None:
    """Pairs to choose from; the one chosen opens on the Pairs page."""
    if table.empty:
        st.info(otherwise, icon=":material/done_all:")
        return
    cards = workbench().desks.cards.of(table["pair_id"])
    shown = table.drop(columns="pair_id")
    shown.insert(
        0, "prompt", [cards[pair_id].prompt.text if pair_id in cards else "" for pair_id in table["pair_id"]]
    )
    st.caption("Click a pair to open it." + (f" The first {LISTED}." if len(table) == LISTED else ""))
    picked = st.dataframe(
        shown, hide_index=True, on_select="rerun", selection_mode=["single-row", "single-cell"], key="agreement pairs", height=min(37 + 35 * len(shown), 460),
        column_config={
            "prompt": st.column_config.TextColumn("Prompt", width="large"),
            "agreement": st.column_config.ProgressColumn("Agreement", min_value=0, max_value=1, format="%.2f",
                                                         help="The share of annotator pairs who chose alike."),
            **{name: st.column_config.NumberColumn(label, width="small") for name, label in CHOICES.items() if name},
            "votes": st.column_config.NumberColumn("Votes", width="small"),
            "majority": st.column_config.TextColumn("Majority", width="small"),
            "majority_share": st.column_config.NumberColumn("Its share", width="small", format="percent"),
            "dawid_skene": st.column_config.TextColumn("Dawid-Skene", width="small"),
            "dawid_skene_probability": st.column_config.NumberColumn("Its probability", width="small", format="%.3f"),
        },
    ).selection  # fmt: skip
    for row in [*picked.rows, *(row for row, _ in picked.cells)]:
        st.session_state["open pair"] = (campaign().id, str(table["pair_id"].iloc[row]))
        st.switch_page("pairs.py")


def consensus(*scope: Any) -> None:
    found: Settled = read(settled, *scope)
    for column, name, method in zip(
        st.columns(2), ["Majority", "Dawid-Skene"], [found.majority, found.dawid_skene], strict=True
    ):  # fmt: skip
        with column.container(border=True):
            labels = pd.Series(np.array([*method.categories, ""], dtype=object)[method.label])
            preferred = int(((labels != "") & ~labels.isin(UNDECIDED)).sum())
            st.markdown(f"**{name}**", help=METHODS[name])
            one, two, three = st.columns(3)
            one.metric(
                "Settled",
                f"{int((labels != '').sum()):,}",
                f"{int((labels == '').sum()):,} of {len(labels):,} left open",
                delta_color="gray",
                delta_arrow="off",
            )
            two.metric(
                "Prefer an answer",
                f"{preferred:,}",
                f"{int(labels.isin(UNDECIDED).sum()):,} undecided",
                delta_color="gray",
                delta_arrow="off",
            )
            score = found.accuracy[name.lower().replace("-", "_")]
            three.metric("Against gold", "–" if score.value is None else f"{score.value:.1%}",
                         "no gold pairs" if score.value is None else f"{score.low:.1%} to {score.high:.1%} · n {score.n:,}",
                         delta_color="gray", delta_arrow="off", help="The share of gold pairs labelled right; one left open counts as wrong.")  # fmt: skip
    table = found.table()
    differ = table[table["majority"] != table["dawid_skene"]]
    st.markdown(f"They differ on **{len(differ):,}** of {len(table):,} pairs"
                + (f", **{int((differ['majority'] == '').sum()):,}** of which the majority leaves open." if len(differ) else "."))  # fmt: skip
    if adjudicated := int((table["resolution"] != "").sum()):
        st.markdown(f"**{adjudicated:,}** of the pairs {'was' if adjudicated == 1 else 'were'} adjudicated: there the resolution is "
                    "the label, in export and training, whatever the votes say.")  # fmt: skip
    st.download_button("Download the consensus (CSV)", lambda: table.to_csv(index=False).encode(), "consensus.csv", "text/csv",
                       icon=":material/download:", on_click="ignore")  # fmt: skip
    if len(differ):
        first = differ.drop(columns="resolution")
        first = first.sort_values("dawid_skene_probability", ascending=False).head(LISTED)
        named = first.assign(
            majority=first["majority"].map(CHOICES), dawid_skene=first["dawid_skene"].map(CHOICES)
        )
        pairs_list(named, "")
