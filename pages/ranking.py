"""Model ranking: whose answers people prefer, how sure that is, and how much of it is length and style."""

from typing import Any

import streamlit as st

from core.preferences import Ties
from core.ranking import LEFT_OUT, Comparisons, Over
from pages import _scope
from pages._against import head_to_head, style_effects
from pages._session import allowed, read, require
from pages._standings import strengths
from pages._strengths import Scope, compared, ranked

VIEWS = ["Strengths", "Head to head", "What style adds"]
TIES: dict[Ties, str] = {"half": "Half a win each", "drop": "Left out"}
OVER: dict[Over, str] = {"prompts": "Prompts", "both": "Prompts and annotators"}
KEPT: dict[str, Any] = {"persist_state": "session"}


def main() -> None:
    who = require("researcher")
    st.title("Model ranking", anchor=False)
    asked = narrow()
    if asked is None:
        return
    scope, over = asked
    with st.spinner("Computing…"):
        found = read(compared, scope)
        rankings = read(ranked, scope, False, over), read(ranked, scope, True, over)
    if not len(found):
        nothing(found, allowed(who, "generate"))
        return
    view = st.segmented_control("View", VIEWS, default=VIEWS[0], required=True, key="ranking view",
                                label_visibility="collapsed", **KEPT)  # fmt: skip
    if view == "Head to head":
        head_to_head(scope, *rankings)
    elif view == "Strengths":
        strengths(*rankings)
    else:
        style_effects(rankings[1])
    rests_on(found, over)


def narrow() -> tuple[Scope, Over] | None:
    """Which annotations count and what the intervals are over; None where there is nothing."""
    row = _scope.row()
    chosen = _scope.narrow(
        "ranking", "A ranking needs annotations of answers by two models or more.", within=row
    )
    if chosen is None:
        return None
    with row, st.popover("How", icon=":material/tune:"):
        ties = st.segmented_control("Ties", list(TIES), default="half", required=True, key="ranking ties",
                                    format_func=TIES.__getitem__, **KEPT)  # fmt: skip
        over = st.segmented_control("Intervals over", list(OVER), default="prompts", required=True, key="ranking over",
                                    format_func=OVER.__getitem__, **KEPT,
                                    help="How the figures would move with other prompts judged by the same people, or with other people too.")  # fmt: skip
        apart = st.toggle("Tell temperatures apart", key="ranking apart",
                          help="One model at two temperatures then counts as two.", **KEPT)  # fmt: skip
    return Scope(chosen.campaign_id, chosen.category, chosen.kinds, ties, apart), over


def nothing(found: Comparisons, may_generate: bool) -> None:
    """Why no annotation compares two models, and what would mend it."""
    lost = found.left_out
    if lost.get("same_model", 0) > lost.get("unnamed", 0):
        st.info(
            "These annotations compare two answers by one model. To rank its temperatures, switch on *Tell temperatures apart* under "
            "**How**; to rank models, have two models answer the same prompts.",
            icon=":material/leaderboard:",
        )
    elif lost.get("unnamed"):
        st.info(
            f"None of these {sum(lost.values()):,} annotations is about answers whose models are known, so there is nothing to rank. Import the pairs "
            "with the columns `model_a` and `model_b`, or have two models answer your prompts.",
            icon=":material/leaderboard:",
        )
    else:
        st.info(
            "No annotation here prefers an answer. Widen the choice above.", icon=":material/leaderboard:"
        )
    if may_generate:
        st.page_link("generate.py", label="Generate", icon=":material/auto_awesome:")


def rests_on(found: Comparisons, over: Over) -> None:
    """What was counted and how, in words."""
    ties = int((found.score == 0.5).sum())
    told = f"{len(found):,} comparisons of {len(found.models):,} models by {found.annotator.max() + 1:,} annotators on {found.prompt.max() + 1:,} prompts"
    if ties:
        told += f"; {ties:,} are ties, half a win for each"
    lost = ", ".join(f"{n:,} {LEFT_OUT[reason]}" for reason, n in found.left_out.items())
    whose = (
        "Intervals are over prompts: how strengths would move with other prompts, judged by the same people."
        if over == "prompts"
        else "Intervals are over prompts and annotators: how strengths would move with others of both."
    )
    st.caption(f"{told}. {f'Left out: {lost}. ' if lost else ''}Skips do not count. {whose}")


main()
