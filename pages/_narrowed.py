"""Whose annotations of what a page is about: all campaigns or the one chosen, a category, kinds of annotator."""

from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._session import campaign, read
from storage import annotations

KINDS = {"person": "People", "imported": "Imported", "simulated": "Simulated"}
Narrowed = tuple[str | None, str | None, tuple[str, ...]]


def narrowed(row: DeltaGenerator, page: str, needs: str) -> Narrowed | None:
    """The campaign, the category and the kinds of annotator chosen in a ``row`` of widgets of this ``page``; None, or (), is all.

    None altogether where nothing was judged, and then the page says what it ``needs``, or where no kind is chosen.
    """
    kept: dict[str, Any] = {"persist_state": "session"}
    with row:
        everywhere = st.toggle("All campaigns", key=f"{page} everywhere", **kept)
        here = None if everywhere else campaign().id
        category = st.selectbox("Category", read(annotations.categories, here), index=None, placeholder="All", width=220,
                                key=f"{page} category", **kept)  # fmt: skip
        there = read(annotations.kinds, here)
        kinds = st.pills("Annotators", there, selection_mode="multi", default=list(there), key=f"{page} kinds {here}",
                         format_func=lambda kind: f"{KINDS[kind]} {there[kind]:,}", **kept) if there else []  # fmt: skip
    if not there:
        st.info(f"Nothing has been judged in this campaign yet. {needs}", icon=":material/compare:")
        st.page_link("annotate.py", label="Annotate", icon=":material/arrow_forward:")
        return None
    if not kinds:
        st.info("Choose whose judgements count.", icon=":material/arrow_upward:")
        return None
    if "simulated" in kinds:
        only = "" if len(kinds) > 1 else "nothing but "
        st.markdown(
            f":violet-badge[:material/smart_toy: Simulated annotators] This rests on {only}simulated judgements"
            f"{' too' if len(kinds) > 1 else ''}."
        )
    return here, category, () if len(kinds) == len(there) else tuple(sorted(kinds))
