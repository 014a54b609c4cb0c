"""Campaigns: how far each is, its rules, its pairs, and simulated annotators to try it with."""

import streamlit as st

from core.roles import Identity
from pages._campaign_form import campaign_form
from pages._panel import panel
from pages._progress import progress_bar
from pages._session import campaign, choose_campaign, read, require
from storage import campaigns, overview
from storage.tables import CampaignRow
from storage.workbench import workbench

VIEWS = ("Rules", "Pairs", "Simulated annotators")


def show(campaign_id: str | None) -> None:
    """Open a campaign in the editor ("" makes a new one), or the list for None."""
    st.session_state["editing"] = campaign_id


def listing() -> None:
    """Every campaign with its progress."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.title("Campaigns", anchor=False)
        archived = st.toggle("Show archived", width="content")
        st.button("New campaign", type="primary", icon=":material/add:", on_click=show, args=("",))
    selected = campaign()
    for row in campaigns.listed(workbench().store, archived=archived):
        with st.container(border=True, key=f"campaign-{row.id}"):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.text(row.name, width="stretch")
                if row.archived:
                    st.badge("archived", color="gray")
                elif row.id == selected.id:
                    st.badge("selected", icon=":material/check:", color="blue")
                else:
                    st.button("Select", key=f"select {row.id}", on_click=choose_campaign, args=(row.id,))
                st.button("Edit", key=f"edit {row.id}", icon=":material/tune:", on_click=show, args=(row.id,))
            progress_bar(read(overview.progress, row.id))


def editor(row: CampaignRow, who: Identity) -> None:
    """One campaign."""
    st.button("All campaigns", type="tertiary", icon=":material/arrow_back:", on_click=show, args=(None,))
    with st.container(key="campaign-title"):
        st.text(row.name or "New campaign")
    view = (
        st.segmented_control("View", VIEWS, default="Rules", required=True, label_visibility="collapsed")
        if row.id
        else "Rules"
    )
    if view == "Rules":
        campaign_form(row, who.id)
        return
    progress_bar(read(overview.progress, row.id))
    if view == "Pairs":
        pairs(row, who)
    else:
        panel(row, who)


def pairs(row: CampaignRow, who: Identity) -> None:
    """Bring in pairs that the store has already."""
    bench = workbench()
    st.subheader("Add pairs", anchor=False)
    names = {"": "All pairs in the store"}
    names |= {c.id: c.name for c in campaigns.listed(bench.store, archived=True) if c.id != row.id}
    with st.container(horizontal=True, vertical_alignment="bottom"):
        source = st.selectbox("From", names, format_func=names.__getitem__, width=360)
        if st.button("Add to this campaign", type="primary", icon=":material/add:"):
            with bench.desks[row.id].closed():
                added = campaigns.add_from(bench.store, row.id, source or None, who.id)
            st.session_state["added"] = (
                f"{added:,} pairs added." if added else "Nothing new: all of them are in it already."
            )
            st.rerun()
    if "added" in st.session_state:
        st.success(st.session_state.pop("added"))
    st.caption("New pairs come from the pages Pairs (import) and Generate. A pair may be in several campaigns; "
               "each has its own judgements.")  # fmt: skip


who = require("lead")
editing = st.session_state.get("editing")
if editing is None:
    listing()
elif editing == "":
    editor(CampaignRow(id="", name=""), who)
else:
    editor(campaigns.get(workbench().store, editing), who)
