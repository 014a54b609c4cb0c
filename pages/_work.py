"""A pair being judged and the tools around it: what Annotate and Adjudicate have in common."""

from collections.abc import Callable
from functools import partial

import streamlit as st

from core.roles import Identity
from pages import _pair, _verdict
from pages._clock import desk
from pages._turn import Turn, choose, drop, flip, pause, submit
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


def pair(turn: Turn, chosen: CampaignRow, who: Identity, first: bool) -> None:
    """The prompt and both answers, with the guidelines beside them where wanted: on the ``first`` pair, and when asked for."""
    card = workbench().desks.cards.get(turn.lease.pair_id)
    assert card is not None
    wanted = st.session_state.setdefault("guidelines", first)
    columns = st.columns([7, 3] if wanted and chosen.guidelines else 1, gap="xsmall")
    with columns[0], st.container(key="taller" if st.session_state.get("taller") else "pair", gap="xsmall"):
        _pair.prompt(card)
        _pair.answers(
            card, turn.lease.a_left, bool(st.session_state.get("differences")), who.may("lead"), turn.paused
        )
    if len(columns) > 1:
        with columns[1].container(key="guidelines", height=300):
            st.markdown(_pair.readable(chosen.guidelines))


def tools(turn: Turn, told: str, undo: Callable[[], None]) -> None:
    """What is ``told`` of the work, what is left of the lease, and the tools, in one line."""
    with st.container(key="tools", horizontal=True, vertical_alignment="center"):
        st.caption(told, width="content")
        if not turn.over:
            desk(turn)
        with st.container(
            horizontal=True,
            horizontal_alignment="right",
            key="buttons",
            gap="xxsmall",
            width="stretch",
            wrap=False,
        ):
            tool("Undo", "undo", "Z", "Undo the last one", undo)
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


def tool(label: str, icon: str, shortcut: str, tip: str, act: Callable[[], None]) -> None:
    st.button(
        label,
        key=f"tool {shortcut}",
        type="tertiary",
        icon=f":material/{icon}:",
        shortcut=shortcut,
        help=tip,
        on_click=act,
    )


def verdict(turn: Turn, chosen: CampaignRow) -> None:
    """A line of news, the choices and the details; once the pair is no longer to be had, what was typed."""
    with st.container(key="notice"):
        notice(turn)
    if turn.refused is not None:
        gone(turn)
        return
    confirm = partial(submit, turn) if st.session_state.get("confirm") else None
    _verdict.choices(chosen, turn.lease.id, turn.chosen, partial(choose, turn), confirm, turn.paused)
    with st.container(key="details", gap="xsmall"):
        _verdict.details(chosen, turn.lease.id, turn.draft)


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


@st.dialog("Keys", width="medium")
def cheat_sheet() -> None:
    columns = st.columns(2)
    for number, (heading, keys) in enumerate(KEYS.items()):
        lines = "  \n".join(f"`{key}` {meaning}" for key, meaning in keys)
        columns[number % 2].markdown(f"**{heading}**\n\n{lines}")
