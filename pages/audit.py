"""The audit: who did what, when, to which record."""

from math import ceil

import pandas as pd
import streamlit as st

from pages._session import campaign_switch, only_campaign, read, require
from storage import audits
from storage.audits import Filter
from storage.workbench import workbench

PAGE = 50
COLUMNS = {
    "occurred_at": st.column_config.DatetimeColumn("When (UTC)", format="YYYY-MM-DD HH:mm:ss", width=150),
    "actor": st.column_config.TextColumn("Who", width=150),
    "action": st.column_config.TextColumn("Did", width=110),
    "record_type": st.column_config.TextColumn("To", width=100),
    "record_id": st.column_config.TextColumn("Record", width=215),
    "detail": st.column_config.TextColumn("Detail", width="large"),
}


def wanted() -> Filter:
    """The filter as it is set."""
    actors, actions = read(audits.choices)
    who, did, record, when = st.columns([2, 2, 2, 3])
    days = when.date_input("From, to (UTC)", (), format="YYYY-MM-DD", key="days")
    first, last = days if len(days) == 2 else (*days, None, None)[:2]
    return Filter(
        who.selectbox("Who", actors, None, placeholder="Anybody", key="who"),
        did.selectbox("Did", actions, None, placeholder="Anything", key="did"),
        record.text_input("To", placeholder="A kind of record or an id", key="record"),
        first,
        last,
        only_campaign(),
    )


require("lead")
store = workbench().store
with st.container(horizontal=True, vertical_alignment="center"):
    st.title("Audit", anchor=False)
    campaign_switch("What was done to records")
    download = st.empty()
chosen = wanted()
key = f"page of {chosen}"
low = (st.session_state.get(key, 1) - 1) * PAGE
rows, total = read(audits.page, chosen, offset=low, limit=PAGE)
if not total:
    st.info("Nothing matches." if chosen != Filter() else "Nothing has happened yet.")
    st.stop()
st.dataframe(pd.DataFrame(rows), column_config=COLUMNS, hide_index=True, height="content")
with st.container(horizontal=True, vertical_alignment="center"):
    st.pagination(ceil(total / PAGE), key=key)
    st.caption(f"{low + 1:,} to {low + len(rows):,} of {total:,} entries, newest first", width="content")
download.download_button(
    "Download CSV",
    lambda: audits.to_csv(store, chosen),
    "attune-audit.csv",
    "text/csv",
    icon=":material/download:",
)
