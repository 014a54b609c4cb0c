"""Annotate: one pair after another, two answers side by side, mostly from the keyboard."""

from functools import partial
from zoneinfo import ZoneInfo

import streamlit as st

from core.queueing import NotAccepted, Nothing
from core.roles import Identity
from pages import _pair, _verdict
from pages._clock import desk
from pages._job import tell_of_ends
from pages._progress import estimate
from pages._session import campaign, read, require
from pages._turn import (
    Turn,
    choose,
    count,
    drop,
    flip,
    lately,
    pace,
    pause,
    returned,
    submit,
    turn_of,
    undo,
    watch,
)
from storage import overview
from storage.tables import CampaignRow
from storage.workbench import workbench

KEYS = {
    "Choose": [
        ("A", "left is better"),
        ("D", "right is better"),
        ("S", "tie"),
        ("X", "both are bad"),
        ("N", "skip: I cannot tell"),
    ],
    "Say more, before you choose": [
        ("Q W E", "slightly, clearly, far better"),
        ("1 … 5", "how sure you are"),
        ("⇧1 ⇧2 …", "an aspect: left, equal, right"),
        ("T", "type a reason; Esc leaves the field"),
        ("M", "mark first, submit with Enter"),
    ],
    "Read": [
        ("↓ ↑", "scroll both answers"),
        ("Space ⇧Space", "a page of both answers"),
        ("F", "show what differs"),
        ("H", "more room for the prompt"),
        ("G", "guidelines"),
    ],
    "Work": [
        ("Z", "undo the last one"),
        ("P", "pause: the clock stops"),
        ("?", "this sheet"),
    ],
}


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
    with st.container(key="work", gap="xsmall"):
        tools(turn, who, chosen.id)
        pair(turn, chosen, who)
        with st.container(key="notice"):
            notice(turn)
        if turn.refused is None:
            confirm = partial(submit, turn) if st.session_state.get("confirm") else None
            _verdict.choices(chosen, turn.lease.id, turn.chosen, partial(choose, turn), confirm, turn.paused)
            with st.container(key="details", gap="xsmall"):
                _verdict.details(chosen, turn.lease.id, turn.draft)
        else:
            gone(turn)
    workbench().desks[chosen.id].look_ahead(who.id)


def pair(turn: Turn, chosen: CampaignRow, who: Identity) -> None:
    """The prompt and both answers, with the guidelines beside them where wanted: at first, and when asked for."""
    card = workbench().desks.cards.get(turn.lease.pair_id)
    assert card is not None
    wanted = st.session_state.setdefault("guidelines", count(chosen.id, who.id) == 0)
    columns = st.columns([7, 3] if wanted and chosen.guidelines else 1, gap="xsmall")
    with columns[0], st.container(key="taller" if st.session_state.get("taller") else "pair", gap="xsmall"):
        _pair.prompt(card)
        _pair.answers(
            card, turn.lease.a_left, bool(st.session_state.get("differences")), who.may("lead"), turn.paused
        )
    if len(columns) > 1:
        with columns[1].container(key="guidelines", height=300):
            st.markdown(_pair.readable(chosen.guidelines))


def tools(turn: Turn, who: Identity, campaign_id: str) -> None:
    """Pace, what is left of the lease, and the tools, in one line."""
    with st.container(key="tools", horizontal=True, vertical_alignment="center"):
        seconds = pace()
        paced = "" if seconds is None else f" · median {seconds:.0f} s"
        st.caption(f"**{count(campaign_id, who.id):,}** today{paced}", width="content")
        desk(turn)
        with st.container(
            horizontal=True,
            horizontal_alignment="right",
            key="buttons",
            gap="xxsmall",
            width="stretch",
            wrap=False,
        ):
            tool("Undo", "undo", "Z", "Undo the last one", partial(undo, turn, campaign_id))
            tool(
                "Differences",
                "difference",
                "F",
                "Show what differs between the answers",
                partial(flip, "differences"),
            )
            tool("Prompt", "expand", "H", "More room for the prompt", partial(flip, "taller"))
            tool("Guidelines", "menu_book", "G", "Guidelines beside the pair", partial(flip, "guidelines"))
            tool(
                "Mark",
                "check_box" if st.session_state.get("confirm") else "check_box_outline_blank",
                "M",
                "Mark a choice first, submit it with Enter",
                partial(flip, "confirm"),
            )
            tool(
                "Resume" if turn.paused else "Pause",
                "play_arrow" if turn.paused else "pause",
                "P",
                "Stop the clock",
                partial(pause, turn),
            )
            if st.button("Keys ?", key="keys", type="tertiary", icon=":material/keyboard:"):
                cheat_sheet()


def tool(label: str, icon: str, shortcut: str, tip: str, act: partial[None]) -> None:
    st.button(
        label,
        key=f"tool {shortcut}",
        type="tertiary",
        icon=f":material/{icon}:",
        shortcut=shortcut,
        help=tip,
        on_click=act,
    )


def notice(turn: Turn) -> None:
    """One line that is always there, so that nothing moves when it has something to say."""
    told = st.session_state.get("notice")
    if turn.paused:
        st.caption(
            ":material/pause: Paused. The clock stands still and the answers are covered. **P** goes on."
        )
    elif turn.refused is not None:
        st.warning(f"{turn.refused}. What you typed stays below.")
    elif turn.lapsed:
        st.caption(
            ":orange[:material/timer_off: Your time for this pair ran out, so others may get it. What you typed is kept, and your choice still counts while there is room.]"
        )
    else:
        st.caption(told or "&nbsp;")


def gone(turn: Turn) -> None:
    """A pair that others have had meanwhile, or that was judged elsewhere: what was typed can be taken along."""
    if reason := (turn.draft.get("reason") or "").strip():
        st.code(reason, language=None, wrap_lines=True)
    st.button("Next pair", type="primary", shortcut="Enter", on_click=drop, args=(turn,))


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


@st.dialog("Keys", width="medium")
def cheat_sheet() -> None:
    columns = st.columns(2)
    for number, (heading, keys) in enumerate(KEYS.items()):
        lines = "  \n".join(f"`{key}` {meaning}" for key, meaning in keys)
        columns[number % 2].markdown(f"**{heading}**\n\n{lines}")


main()
