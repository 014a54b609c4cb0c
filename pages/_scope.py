"""Which judgements a page is about: of the campaign or of all, of a category, of which kinds of annotators."""

from typing import Any, NamedTuple

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from pages._session import campaign, read
from storage import annotations

KINDS = {"person": "People", "imported": "Imported", "simulated": "Simulated"}
KEPT: dict[str, Any] = {"persist_state": "session"}


class Scope(NamedTuple):
    """A campaign's id and a category, None for all; ``ties`` keep or drop; the kinds of annotators, none for all."""

    campaign_id: str | None
    category: str | None
    ties: str
    kinds: tuple[str, ...]


def names_hidden(within: DeltaGenerator) -> bool:
    """Whether annotators are numbers instead of names; once chosen, it holds on every page that asks."""
    about = "Numbers instead of names: for showing this to others."
    return within.toggle("Hide names", key="annotators hidden", help=about, **KEPT)


def row() -> DeltaGenerator:
    """Where a page asks what it is about."""
    return st.container(horizontal=True, vertical_alignment="bottom", gap="medium")


def narrow(
    page: str, needs: str, *, category: bool = True, ties: bool = False, within: DeltaGenerator | None = None
) -> Scope | None:
    """What is chosen on a page; None where nothing is left, and then it says why. ``needs`` ends what an empty campaign is told.

    ``within``: a ``row`` that has widgets of the page's own.
    """
    with within or row():
        everywhere = st.toggle("All campaigns", key=f"{page} everywhere", **KEPT)
        here = None if everywhere else campaign().id
        names = read(annotations.categories, here)
        chosen = st.selectbox("Category", names, index=None, placeholder="All", width=220, key=f"{page} category",
                              disabled=not category, **KEPT)  # fmt: skip
        treated = st.segmented_control("Ties and both bad", ["keep", "drop"], default="keep", required=True, key=f"{page} ties",
                                       format_func=str.capitalize, help="Keep: they are choices of their own. Drop: only A and B count.", **KEPT) if ties else "keep"  # fmt: skip
        there = read(annotations.kinds, here)
        kinds = st.pills("Annotators", there, selection_mode="multi", default=list(there), key=f"{page} kinds {here}",
                         format_func=lambda kind: f"{KINDS[kind]} {there[kind]:,}", **KEPT) if there else []  # fmt: skip
    if not there:
        st.info(f"Nothing has been judged in this campaign yet. {needs}", icon=":material/handshake:")
        st.page_link("annotate.py", label="Annotate", icon=":material/arrow_forward:")
        return None
    if not kinds:
        st.info("Choose whose judgements count.", icon=":material/arrow_upward:")
        return None
    if "simulated" in kinds:
        others = "" if len(kinds) > 1 else " nothing but"
        st.markdown(
            f":violet-badge[:material/smart_toy: Simulated annotators] These figures include{others} simulated judgements."
        )
    narrowed = () if len(kinds) == len(there) else tuple(sorted(kinds))
    return Scope(here, chosen if category else None, treated, narrowed)
