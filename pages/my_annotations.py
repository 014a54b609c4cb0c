"""My annotations: what somebody has said so far, to look over and to change; the history is kept."""

from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

import streamlit as st

from core.judging import STRENGTHS, InvalidJudgement
from core.queueing import NotAccepted
from core.roles import Identity
from pages import _pair, _verdict
from pages._session import campaign, identity, read, require
from pages._turn import tell
from pages._verdict import CHOICES, Side
from storage import annotations
from storage.tables import CampaignRow
from storage.workbench import workbench

SIZE = 50


def main() -> None:
    who, chosen = require(), campaign()
    st.html(_pair.STYLE)
    rows: list[dict[str, Any]] = []
    if opened := st.session_state.get("opened"):
        rows, _ = read(annotations.page, annotation_id=opened, annotator_id=who.id, campaign_id=chosen.id)
    if rows:
        one(rows[0], chosen, who)
    else:
        listed(chosen, who)


def listed(chosen: CampaignRow, who: Identity) -> None:
    """The annotations that stand, newest first; a click opens one."""
    st.header("My annotations", anchor=False)
    search = st.text_input(
        "Search",
        placeholder="Words of the prompt or of your reason",
        key="mine search",
        persist_state="session",
    )
    wanted = {"campaign_id": chosen.id, "annotator_id": who.id, "search": search.strip()}
    total = read(annotations.page, **wanted, limit=1)[1]
    if not total:
        st.info(
            f"Nothing found for “{search}”."
            if search
            else "You have not judged a pair of this campaign yet.",
            icon=":material/search_off:" if search else ":material/inbox:",
        )
        return
    at = st.container()
    left, right = st.columns(2, vertical_alignment="center")
    pages = ceil(total / SIZE)
    number = right.pagination(pages, key=f"mine page {wanted}") if pages > 1 else 1
    first = (number - 1) * SIZE
    rows, _ = read(annotations.page, **wanted, offset=first, limit=SIZE)
    left.caption(
        f"{first + 1:,} to {first + len(rows):,} of {total:,}, the newest first. Click one to open it."
    )
    zone = ZoneInfo(st.context.timezone or "UTC")
    table = [
        {
            "When": row["submitted_at"].astimezone(zone).strftime("%d %b %H:%M"),
            "Prompt": row["prompt"][:300],
            "You said": spoken(row),
            "Strength": STRENGTHS.get(row["strength"]),
            "Sure": row["confidence"],
            "Why": row["reason"],
            "Seconds": row["seconds"],
        }
        for row in rows
    ]
    key = f"mine rows {wanted} {number}"
    at.dataframe(
        table,
        key=key,
        hide_index=True,
        placeholder="",
        height=min(37 + 35 * len(rows), 500),
        on_select=partial(opens, key, [row["id"] for row in rows]),
        selection_mode=["single-row", "single-cell"],
        column_config={
            "Prompt": st.column_config.TextColumn(width="large"),
            "Seconds": st.column_config.NumberColumn(format="%.0f"),
        },
    )


def one(row: dict[str, Any], chosen: CampaignRow, who: Identity) -> None:
    """One pair as it stood, with what was said of it, to be changed."""
    card = workbench().desks.cards.get(row["pair_id"])
    assert card is not None
    a_left = row["left"] != "b"
    said, stored = _verdict.said(row, a_left)
    with st.container(key="work", gap="xsmall"):
        with st.container(key="tools", horizontal=True, vertical_alignment="center"):
            st.button(
                "Back to the list",
                type="tertiary",
                icon=":material/arrow_back:",
                shortcut="B",
                on_click=opens_none,
            )
            when = row["submitted_at"].astimezone(ZoneInfo(st.context.timezone or "UTC"))
            st.caption(
                when.strftime("%d %B %Y, %H\\:%M")
                + ("" if row["left"] else " · which answer stood left is not known")
            )
        with st.container(key="pair", gap="xsmall"):
            _pair.prompt(card)
            _pair.answers(card, a_left, bool(st.session_state.get("differences")), who.may("lead"))
        with st.container(key="notice"):
            st.caption(st.session_state.pop("notice", None) or past(row, who))
        drafts: dict[str, _verdict.Draft] = st.session_state.setdefault("edits", {})
        draft = drafts.setdefault(row["id"], stored)
        side = st.session_state.get("changed", {}).get(row["id"], said)
        change = partial(change_to, row["id"])
        save = partial(saved, row, chosen, a_left, said)
        _verdict.choices(chosen, row["id"], side, change, save)
        with st.container(key="details", gap="xsmall"):
            _verdict.details(chosen, row["id"], draft)


def past(row: dict[str, Any], who: Identity) -> str:
    """What they said of this pair before."""
    earlier = [
        f"{_choice(before)} ({before['state']})"
        for before in read(annotations.history, row["pair_id"], who.id)
        if before["id"] != row["id"]
    ]
    return (
        "Before\\: " + ", then ".join(earlier)
        if earlier
        else "Change what you said and submit it; the history is kept."
    )


def opens(key: str, ids: list[str]) -> None:
    chosen = st.session_state[key]["selection"]
    places = chosen["rows"] or [row for row, _ in chosen["cells"]]
    st.session_state["opened"] = ids[places[0]] if places else None


def opens_none() -> None:
    st.session_state["opened"] = None


def change_to(annotation_id: str, side: Side) -> None:
    st.session_state["changed"] = {annotation_id: side}


def saved(row: dict[str, Any], chosen: CampaignRow, a_left: bool, said: Side) -> None:
    """Append what is now marked (which may come with the same click as this) as a correction of the annotation."""
    who = identity()
    if who is None:
        return
    bench, draft = workbench(), st.session_state["edits"].get(row["id"], {})
    _verdict.keep(row["id"], draft)
    side = st.session_state.get("changed", {}).get(row["id"], said)
    corrected = _verdict.verdict(chosen, side, a_left, draft, row["seconds"])
    try:
        new = bench.desks[chosen.id].edit(who.id, row["id"], corrected, datetime.now(UTC), source="person")
    except (NotAccepted, InvalidJudgement) as error:
        tell(str(error))
    else:
        st.session_state["opened"] = new.id
        tell("Saved. What you said before is kept in the history.")


def spoken(row: dict[str, Any]) -> str:
    """The choice in words of the screen where the sides are known, else of the pair."""
    if row["choice"] not in ("a", "b"):
        return CHOICES[row["choice"]][0]
    if row["left"] is None:
        return f"{row['choice'].upper()} better"
    return CHOICES["left" if row["choice"] == row["left"] else "right"][0]


def _choice(before: dict[str, Any]) -> str:
    return f"{before['preferred'].upper()} better" if before["preferred"] else CHOICES[before["verdict"]][0]


main()
