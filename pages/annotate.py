"""Annotate: one pair after another, two answers side by side, mostly from the keyboard."""

from functools import partial
from zoneinfo import ZoneInfo

import streamlit as st

from core.queueing import NotAccepted, Nothing
from core.roles import Identity
from pages import _pair
from pages._job import tell_of_ends
from pages._progress import estimate
from pages._session import campaign, read, require
from pages._turn import count, lately, pace, returned, turn_of, undo, watch
from pages._work import pair, tool, tools, verdict
from storage import overview
from storage.tables import CampaignRow
from storage.workbench import workbench


def main() -> None:
    who, chosen = require(), campaign()
    st.html(_pair.STYLE)
    try:
        turn = turn_of(chosen, who)
    except NotAccepted as error:
        st.info(str(error), icon=":material/group_off:")
        return
    if isinstance(turn, Nothing):
        nothing(turn, who, chosen.id)
        return
    returned(turn)
    work()


def progress(chosen: CampaignRow) -> None:
    """How far the campaign is."""
    found = lately(workbench().store, chosen.id)
    share = found.done / found.wanted if found.wanted else 0.0
    with st.container(key="progress", horizontal=True, vertical_alignment="center"):
        st.progress(share, width=140)
        st.caption(
            f"{share:.0%} of the campaign, {found.left:,} judgements left. {estimate(found)}", width="stretch"
        )


@st.fragment(run_every=15)
def work() -> None:
    """The pair in hand and everything one can do with it; nothing outside is drawn again when it changes.

    Its timer is the page's sign of life, by which the clock knows that it is still there. It is the only one here: where
    the runs of two fragments end together, Streamlit leaves standing what the first of them no longer draws.
    """
    who, chosen = require(), campaign()
    turn = turn_of(chosen, who)
    if isinstance(turn, Nothing):
        st.rerun()
    watch(turn)
    tell_of_ends(who)
    progress(chosen)
    seconds, judged = pace(), count(chosen.id, who.id)
    told = f"**{judged:,}** today" + ("" if seconds is None else f" · median {seconds:.0f} s")
    with st.container(key="work", gap="xsmall"):
        tools(turn, told, partial(undo, turn, chosen.id))
        pair(turn, chosen, who, first=judged == 0)
        verdict(turn, chosen)


def nothing(state: Nothing, who: Identity, campaign_id: str) -> None:
    """Why there is no pair now, and what to do next."""
    found = read(overview.progress, campaign_id)
    if state.held:
        assert state.until is not None
        when = state.until.astimezone(st.context.timezone and ZoneInfo(st.context.timezone)).strftime(
            "%H\\:%M"
        )
        st.info(
            f"**Nothing for you just now.** What is left, {state.held:,} pair{'s' if state.held > 1 else ''}, is in other hands; the first comes back at "
            f"{when} if it is not judged by then. This page watches for it.",
            icon=":material/hourglass_top:",
        )
        wait(state)
    elif not found.pairs:
        st.info("**This campaign has no pairs yet.**", icon=":material/inbox:")
        if who.may("lead"):
            st.page_link("pairs.py", label="Upload pairs", icon=":material/splitscreen_right:")
            st.page_link(
                "generate.py", label="Have two models answer your prompts", icon=":material/auto_awesome:"
            )
        else:
            st.caption("A lead adds them; then they appear here.")
    else:
        done = count(campaign_id, who.id)
        st.success(
            f"**You are through.** There is no pair left in this campaign that you have not met. {done:,} judged today; "
            f"the campaign is at {found.done / found.wanted:.0%}.",
            icon=":material/check_circle:",
        )
        st.page_link("my_annotations.py", label="Look over my annotations", icon=":material/history:")
    with st.container(horizontal=True):
        tool("Undo", "undo", "Z", "Undo the last one", partial(undo, None, campaign_id))


@st.fragment(run_every=5)
def wait(state: Nothing) -> None:
    """Look whether a pair has come free, or the last ones are judged; the timer is gone as soon as that is so."""
    who, chosen = require(), campaign()
    if turn_of(chosen, who) != state:
        st.rerun()


main()
