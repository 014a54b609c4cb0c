"""Where a project stands beyond its counts, and what to do next: parts of the Overview."""

import streamlit as st

from core.next_steps import Disputed, Learning, Step, agrees
from core.roles import Identity
from pages._report import plain
from pages._session import allowed

FIRST = 3
"""Steps that are told at length."""


def steps(who: Identity, found: list[Step]) -> None:
    """What to do next, in order, with the reason and the way there; the later ones in a line each."""
    st.subheader("What to do next", anchor=False)
    for number, step in enumerate(found[:FIRST], start=1):
        with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"step-{number}"):
            with st.container(gap=None):
                st.markdown(f"**{number}. {step.title}**")
                st.caption(plain(step.why))
            way(who, step)
    if len(found) <= FIRST:
        return
    with st.container(border=True, gap=None, key="steps-later"):
        for number, step in enumerate(found[FIRST:], start=FIRST + 1):
            with st.container(horizontal=True, vertical_alignment="center"):
                st.markdown(f"**{number}. {step.title}**", help=plain(step.why), width="stretch")
                way(who, step)


def way(who: Identity, step: Step) -> None:
    """The link to the page of a step, for whom it is open."""
    if allowed(who, step.page):
        st.page_link(f"{step.page}.py", label="Open", icon=":material/arrow_forward:", icon_position="right")
    else:
        st.caption("A lead can do this.", width="content")


def settled(found: Disputed) -> None:
    """How many of the pairs that people disagree on are adjudicated."""
    if found.pairs:
        text = f"**{found.resolved / found.pairs:.0%}** · {found.resolved:,} of {found.pairs:,} disputed pairs settled"
        st.progress(found.resolved / found.pairs, text=text)


def in_use(now: Learning) -> None:
    """The deployed model and the newest one, how often they prefer what people prefer, and what they have not learnt."""
    if now.newest is None:
        return
    st.subheader("Models", anchor=False)
    for role, version in {"deployed": now.deployed, "newest": now.newest}.items():
        if version is None or (role == "newest" and version == now.deployed):
            continue
        known = (
            f"{agrees(version.accuracy)}." if version.accuracy.value is not None else version.accuracy.reason
        )
        st.markdown(f"**{plain(version.name)}** :gray-badge[{role}] {known}")
    st.caption(
        f"The newest learnt from {now.learnt:,} annotations; {now.fresh:,} that stand here are not among them."
    )
