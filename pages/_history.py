"""Annotations as a table to search and to open: the history, and what is behind a point of the Timeline."""

from collections.abc import Sequence
from math import ceil
from typing import Any

import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from core.records import CHOICES
from pages._session import campaign, read
from storage import history as kept
from storage import people
from storage.history import Filter
from storage.workbench import workbench

SIZE = 50
LARGEST = 100_000
"""Annotations at most in a download."""
COLUMNS = ("submitted_at", "prompt", "annotator", "choice", "reason", "confidence", "category", "campaign")
SAID = {"a": "A better", "b": "B better", "tie": "Tie", "both_bad": "Both bad", "skip": "Skipped"}
"""The verdict, of the pair's own answers A and B, not of the sides of a screen."""


def history(row: DeltaGenerator) -> None:
    """The annotations that stand, found by what was asked, who said it, what they said and when."""
    stays: dict[str, Any] = {"persist_state": "session"}
    with row:
        everywhere = st.toggle("All campaigns", key="timeline everywhere", **stays)
        search = st.text_input(
            "Search", placeholder="Words of the prompt or of a reason", key="history search", **stays
        )
        names = {key: name for key, name, _, _, n in read(people.annotators) if n}
        who = st.selectbox("Annotator", names, index=None, placeholder="Anybody", format_func=names.__getitem__, width=220,
                           key="history annotator", **stays)  # fmt: skip
        said = st.selectbox("Verdict", [*CHOICES, "skip"], index=None, placeholder="Any", format_func=SAID.__getitem__, width=140,
                            key="history verdict", **stays)  # fmt: skip
        days = st.date_input(
            "From, to (UTC)", (), format="YYYY-MM-DD", width=220, key="history days", **stays
        )
    first, last = days if len(days) == 2 else (*days, None, None)[:2]
    wanted = Filter(None if everywhere else campaign().id, None, who, said, search.strip(), first, last)
    total = read(kept.page, wanted, limit=1)[1]
    if not total:
        nothing = wanted == Filter(wanted.campaign_id)
        st.info(
            "Nothing has been judged in this campaign yet." if nothing else "No annotation matches. Widen the search, or look in all campaigns.",
            icon=":material/inbox:" if nothing else ":material/search_off:",
        )  # fmt: skip
        return
    at, end = pages(total, f"history {wanted}")
    listing(kept.page, wanted, key=f"history rows {wanted} {at}", offset=at, limit=end - at)
    if total <= LARGEST:
        st.download_button(f"These {total:,} (CSV)", lambda: kept.to_csv(workbench().store, wanted), "annotations.csv", "text/csv",
                           on_click="ignore", icon=":material/download:")  # fmt: skip
    else:
        st.caption(
            f"For a download narrow this to {LARGEST:,}, or take all annotations from the Export page."
        )


def pages(total: int, key: str) -> tuple[int, int]:
    """Which of ``total`` rows are shown, from and to; a choice of pages where there are several."""
    left, right = st.columns(2, vertical_alignment="center")
    count = ceil(total / SIZE)
    number = right.pagination(count, key=f"page of {key}") if count > 1 else 1
    first, last = (number - 1) * SIZE, min(number * SIZE, total)
    left.caption(f"{first + 1:,} to {last:,} of {total:,}, the newest first. Click one to open its pair.")
    return first, last


def listing(query: Any, *args: Any, key: str, **rest: Any) -> None:
    """The annotations that a query of ``storage.history`` gives; the one clicked opens on the Pairs page."""
    found = read(query, *args, **rest)
    rows: Sequence[dict[str, Any]] = found[0] if isinstance(found, tuple) else found
    table = pd.DataFrame(rows)
    table["choice"] = table["choice"].map(SAID)
    shown = [name for name in COLUMNS if table[name].notna().any()]
    text = st.column_config.TextColumn
    picked = st.dataframe(
        table, hide_index=True, height=min(37 + 35 * len(rows), 460), on_select="rerun", key=key, placeholder="",
        selection_mode=["single-row", "single-cell"],
        column_order=shown,
        column_config={
            "submitted_at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm", timezone="UTC", width=130),
            "prompt": text("Prompt", width=300), "annotator": text("Annotator", width=120), "choice": text("Verdict", width=80),
            "reason": text("Reason", width=220), "confidence": st.column_config.NumberColumn("Sure", width=50),
            "category": text("Category", width=90), "campaign": text("Campaign", width=110),
        },
    ).selection  # fmt: skip
    for row in [*picked.rows, *(row for row, _ in picked.cells)][:1]:
        if row < len(rows):
            st.session_state["open pair"] = (campaign().id, rows[row]["pair_id"])
            st.switch_page("pairs.py")
