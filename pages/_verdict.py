"""What somebody says about a pair: the choices by side of the screen, and the details that may go with one."""

import json
from collections.abc import Callable
from typing import Any, Literal

import streamlit as st

from core.judging import MAX_REASON, STRENGTHS, Verdict
from core.records import Choice
from storage.tables import CampaignRow

Side = Literal["left", "tie", "both_bad", "right", "skip"]
Draft = dict[str, Any]
"""strength, confidence, reason, and a side (left, tie, right) under ``aspect <name>``."""
CHOICES: dict[Side, tuple[str, str]] = {
    "left": ("Left better", "A"),
    "tie": ("Tie", "S"),
    "both_bad": ("Both bad", "X"),
    "right": ("Right better", "D"),
    "skip": ("Skip", "N"),
}
"""Label and key of each choice, in the order of the screen."""
_ASPECT = {"left": "left", "tie": "=", "right": "right"}


def choices(
    campaign: CampaignRow,
    name: str,
    chosen: Side | None,
    choose: Callable[[Side], None],
    confirm: Callable[[], None] | None = None,
    disabled: bool = False,
) -> None:
    """The bar of choices that the campaign offers, with their keys; ``chosen`` stands out, ``confirm`` submits it."""
    offered = {"tie": campaign.ties, "both_bad": campaign.both_bad}
    sides = [side for side in CHOICES if offered.get(side, True)]
    with st.container(key="choices"):
        columns = st.columns(len(sides) + (confirm is not None), gap="xsmall")
        for column, side in zip(columns, sides, strict=False):
            label, shortcut = CHOICES[side]
            column.button(
                label,
                key=f"{side} {name}",
                type="primary" if side == chosen else "secondary",
                shortcut=shortcut,
                on_click=choose,
                args=(side,),
                disabled=disabled,
                width="stretch",
            )
        if confirm:
            columns[-1].button(
                "Submit",
                key=f"submit {name}",
                shortcut="Enter",
                on_click=confirm,
                disabled=disabled or chosen is None,
                width="stretch",
            )


def details(campaign: CampaignRow, name: str, draft: Draft) -> None:
    """Strength, confidence, aspects and reason; ``draft`` holds them when the page is left and returned to."""
    strength, confidence, reason = st.columns([3, 3, 5])
    if campaign.strength:
        with strength.container(key="strength"):
            _segments(
                "By how much · Q W E", [*STRENGTHS], STRENGTHS.__getitem__, _field(name, "strength", draft)
            )
    with confidence.container(key="confidence"):
        _segments("How sure are you · 1 to 5", [*range(1, 6)], str, _field(name, "confidence", draft))
    with reason.container(key="reason"):
        st.text_area("Why · T", key=_field(name, "reason", draft), height=68, max_chars=MAX_REASON)
    if campaign.aspects:
        with st.container(key="aspects", horizontal=True):
            for aspect in campaign.aspects:
                _segments(aspect, [*_ASPECT], _ASPECT.__getitem__, _field(name, f"aspect {aspect}", draft))
    keep(name, draft)


def keep(name: str, draft: Draft) -> None:
    """Take what the fields hold now into the draft; for callbacks, which run before the fields are drawn."""
    for field in draft:
        draft[field] = st.session_state.get(f"{field} {name}", draft[field])


def verdict(campaign: CampaignRow, side: Side, a_left: bool, draft: Draft, seconds: float | None) -> Verdict:
    """The judgement by answer, from the one by side; strength counts only where one answer is better."""
    choice: Choice = _answer(side, a_left) if side in ("left", "right") else side
    return Verdict(
        choice,
        draft.get("strength") if choice in ("a", "b") else None,
        draft.get("confidence"),
        {a: _answer(draft[f"aspect {a}"], a_left) for a in campaign.aspects if draft.get(f"aspect {a}")},
        (draft.get("reason") or "").strip() or None,
        seconds,
    )


def said(row: dict[str, Any], a_left: bool) -> tuple[Side, Draft]:
    """The side and the details of a stored judgement, as ``storage.annotations.page`` gives it."""
    draft = {name: row[name] for name in ("strength", "confidence", "reason")}
    draft |= {
        f"aspect {name}": side_of(answer, a_left) for name, answer in json.loads(row["aspects"]).items()
    }
    return side_of(row["choice"], a_left), draft


def _answer(side: Any, a_left: bool) -> Any:
    return side if side == "tie" else "a" if (side == "left") == a_left else "b"


def side_of(choice: Any, a_left: bool) -> Any:
    """The side of the screen on which an answer stood, for a and b; any other choice as it is."""
    return choice if choice not in ("a", "b") else "left" if (choice == "a") == a_left else "right"


def _field(name: str, field: str, draft: Draft) -> str:
    st.session_state.setdefault(f"{field} {name}", draft.setdefault(field, None))
    return f"{field} {name}"


def _segments(label: str, options: list[Any], shown: Callable[[Any], str], key: str) -> None:
    st.segmented_control(label, options, format_func=shown, key=key)
