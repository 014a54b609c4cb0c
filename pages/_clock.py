"""The annotator's desk in the browser: idleness, what is left of a lease, and keys beyond those of buttons."""

from datetime import UTC, datetime
from pathlib import Path

import streamlit as st

from core.clock import IDLE
from pages._turn import Turn, activity, renew

_SCRIPT = Path(__file__).parent.parent / "assets" / "annotate.js"
_LOOK = """
.lease { font: 0.85rem var(--st-font); color: var(--st-text-color); opacity: 0.65; white-space: nowrap;
         font-variant-numeric: tabular-nums; }
.lease.soon { color: var(--st-orange-text-color); opacity: 1; }
"""
_desk = st.components.v2.component(
    "attune_desk", html='<span class="lease" role="timer"></span>', css=_LOOK, js=_SCRIPT.read_text("utf-8")
)


def desk(turn: Turn) -> None:
    """Draw what is left of the lease and listen; the server hears of it only when something changes."""

    def heard() -> None:
        state = st.session_state["desk"]["activity"]
        activity(turn, None if state["active"] else state["idle"])

    left = turn.lease.expires_at - datetime.now(UTC)
    _desk(
        key="desk",
        data={
            "turn": turn.lease.id,
            "until": turn.lease.expires_at.timestamp(),
            "left": max(0.0, left.total_seconds()),
            "lease": (turn.lease.expires_at - turn.lease.issued_at).total_seconds(),
            "idle": IDLE,
        },
        width="content",
        on_activity_change=heard,
        on_due_change=lambda: renew(turn),
    )
