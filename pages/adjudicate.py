"""Adjudicate: pairs that people disagree on, settled one after another without having seen the votes."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import streamlit as st

from core.adjudication import LEAST, ORDERS
from core.queueing import NotAccepted
from core.roles import Identity
from pages import _pair
from pages._case import case_of, narrowed, scope, undo
from pages._scope import KINDS
from pages._session import allowed, campaign, read, require
from pages._turn import returned, watch
from pages._votes import votes
from pages._work import pair, tool, tools, verdict
from storage import adjudication, annotations
from storage.adjudication import Docket
from storage.tables import CampaignRow
from storage.workbench import workbench

ORDERED = {"split": "Most evenly split", "doubt": "Most in doubt"}
MEASURES = (
    "Most evenly split: by the share of the votes against the most common choice. Most in doubt: by the entropy of the "
    "Dawid-Skene posterior, in which reliable annotators weigh more."
)
KEPT: dict[str, Any] = {"persist_state": "session"}


def main() -> None:
    who, chosen = require("lead"), campaign()
    st.html(_pair.STYLE)
    disputed = read(adjudication.disputed, chosen.id, *scope(chosen.id))
    st.session_state["disputed"] = scope(chosen.id), disputed
    try:
        case = case_of(chosen, who, disputed)
    except NotAccepted as error:
        st.info(str(error), icon=":material/gavel:")
        return
    if case is None:
        nothing(who, chosen, disputed)
        return
    returned(case)
    work()


@st.fragment(run_every=15)
def work() -> None:
    """The pair in hand, or the votes on the one just resolved. The order of the queue is that of when the page was opened."""
    who, chosen = require("lead"), campaign()
    _, disputed = st.session_state["disputed"]
    case = case_of(chosen, who, disputed)
    if case is None:
        st.rerun()
    if not case.over:
        watch(case)
    progress(workbench().adjudication.docket(chosen.id, who.id, disputed, datetime.now(UTC)), chosen.id)
    with st.container(key="work", gap="xsmall"):
        tools(
            case,
            "Votes hidden" if not case.votes else "Resolved",
            partial(undo, chosen.id),
        )
        pair(case, chosen, who, first=False)
        if case.votes:
            votes(case)
        else:
            verdict(case, chosen)


def progress(docket: Docket, campaign_id: str) -> None:
    """How many of the disputed pairs are resolved, where the others are, and what the queue is narrowed to."""
    rest = {
        "judged by yourself": docket.own,
        "passed over by you": docket.passed,
        "in other hands": docket.held,
    }
    told = "".join(f" · {n:,} {where}" for where, n in rest.items() if n)
    kinds = scope(campaign_id)[1] or read(annotations.kinds, campaign_id)
    if "simulated" in kinds:
        told += " :violet-badge[:material/smart_toy: Simulated votes count]"
    share = docket.resolved / docket.disputed if docket.disputed else 0.0
    with st.container(key="progress", horizontal=True, vertical_alignment="center"):
        st.progress(share, width=140)
        st.caption(
            f"**{docket.resolved:,} of {docket.disputed:,}** disputed pairs resolved{told}", width="stretch"
        )
        narrow(campaign_id)


def narrow(campaign_id: str) -> None:
    """Which disputed pairs come, and in which order."""
    with st.popover("Filter", icon=":material/tune:", type="tertiary"):
        change = partial(narrowed, campaign_id)
        st.segmented_control("Order", ORDERS, format_func=ORDERED.__getitem__, default="split", required=True, key="adjudicate order",
                                     help=MEASURES, on_change=change, **KEPT)  # fmt: skip
        st.selectbox("Category", read(annotations.categories, campaign_id), index=None, placeholder="All", key="adjudicate category",
                     on_change=change, **KEPT)  # fmt: skip
        st.number_input("Least votes", LEAST, 100, LEAST, key="adjudicate least", on_change=change, **KEPT)
        there = read(annotations.kinds, campaign_id)
        if len(there) > 1:
            st.pills("Whose votes", there, selection_mode="multi", key=f"adjudicate kinds {campaign_id}", format_func=KINDS.__getitem__,
                     help="All of them where none is chosen.", on_change=change, **KEPT)  # fmt: skip
    if scope(campaign_id) != st.session_state["disputed"][0]:
        st.rerun()


def nothing(who: Identity, chosen: CampaignRow, disputed: list[str]) -> None:
    """Why there is no pair to settle, and what to do next."""
    st.title("Adjudicate", anchor=False)
    docket = workbench().adjudication.docket(chosen.id, who.id, disputed, datetime.now(UTC))
    if not disputed and scope(chosen.id) == (None, (), "split", LEAST):
        st.info(
            "**Nobody disagrees so far.** A pair comes here once two annotators have judged it and did not choose alike.",
            icon=":material/handshake:",
        )
        st.page_link("annotate.py", label="Annotate", icon=":material/arrow_forward:")
        st.page_link("agreement.py", label="See how far they agree", icon=":material/arrow_forward:")
        return
    progress(docket, chosen.id)
    if not disputed:
        st.info("No disputed pair is like that. Widen the filter.", icon=":material/filter_alt_off:")
    elif docket.held:
        st.info(
            f"**{docket.held:,}** in other adjudicators’ hands. Look again later.",
            icon=":material/hourglass_top:",
        )
    elif docket.own:
        st.info(
            f"**What is left, {docket.own:,}, you judged yourself.** Whoever settles a pair should not have voted on it: another "
            "lead or admin can adjudicate.",
            icon=":material/person_off:",
        )
    elif docket.passed:
        st.info(
            f"**What is left, {docket.passed:,}, you passed over.** Another lead or admin can adjudicate.",
            icon=":material/redo:",
        )
    else:
        st.success("**Every disputed pair is resolved.** The resolutions are the labels, in export and training.",
                   icon=":material/check_circle:")  # fmt: skip
        if allowed(who, "export"):
            st.page_link("export.py", label="Export the data set", icon=":material/arrow_forward:")
    if st.session_state.get("notice"):
        st.caption(st.session_state["notice"])
    tool("Undo", "undo", "Z", "Undo the last one", partial(undo, chosen.id))


main()
