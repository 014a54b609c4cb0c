"""The pair in somebody's hands: what they have typed, their clock, and what they can do with it."""

import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from statistics import median
from typing import Any, ClassVar
from zoneinfo import ZoneInfo

import streamlit as st

from core.clock import Clock
from core.judging import InvalidJudgement, Verdict
from core.queueing import Lease, NotAccepted, Nothing
from core.roles import Identity, Role
from pages._session import identity
from pages._verdict import Draft, Side, keep, said, verdict
from storage import annotations, campaigns, overview
from storage.store import Store
from storage.tables import CampaignRow
from storage.workbench import workbench


@dataclass
class Turn:
    """A lease and what has become of it in this browser tab.

    ``chosen`` is what is marked and not yet submitted; ``refused`` why the desk no longer takes it; ``over`` that it
    is answered, so that a second click on it does nothing.
    """

    campaign_id: str
    lease: Lease
    draft: Draft = field(default_factory=dict)
    chosen: Side | None = None
    clock: Clock = field(default_factory=Clock)
    paused: bool = False
    refused: str | None = None
    over: bool = False

    role: ClassVar[Role] = "annotator"

    @property
    def lapsed(self) -> bool:
        return self.lease.expires_at <= datetime.now(UTC)

    def hand_in(self, said: Verdict, now: datetime) -> None:
        """Store what is said of the pair. Raises NotAccepted or InvalidJudgement."""
        workbench().desks[self.campaign_id].submit(
            self.lease.annotator, self.lease.pair_id, said, now, source="person", lease_id=self.lease.id
        )

    def hold(self, now: datetime) -> None:
        """Start the lease's time again, while it is held."""
        desk = workbench().desks[self.campaign_id]
        self.lease = desk.renew(self.lease.annotator, self.lease.id, now) or self.lease

    def done(self, side: Side, seconds: float) -> None:
        """It has been stored."""
        tell("Skipped." if side == "skip" else None)
        if side != "skip":
            _paces().append(seconds)
            count(self.campaign_id, self.lease.annotator, 1)


def turn_of(campaign: CampaignRow, who: Identity) -> Turn | Nothing:
    """What they hold, or the next pair. Raises NotAccepted when they are not on the campaign."""
    turns: dict[tuple[str, str], Turn] = st.session_state.setdefault("turns", {})
    turn = turns.get((campaign.id, who.id))
    if turn is None or turn.over:
        found = workbench().desks[campaign.id].next(who.id, datetime.now(UTC))
        if isinstance(found, Nothing):
            turns.pop((campaign.id, who.id), None)
            return found
        turn = turns[campaign.id, who.id] = Turn(campaign.id, found, drafts().pop(found.pair_id, {}))
    return turn


def watch(turn: Turn) -> None:
    """The page shows this turn: its clock runs, unless paused."""
    if not turn.paused and st.session_state.get("active", True):
        turn.clock = turn.clock.run(time.monotonic())


def returned(turn: Turn) -> None:
    """The page is drawn from the start: it may have been left, so the time since its last sign does not count."""
    st.session_state["active"] = True
    turn.clock = turn.clock.left()


# What people do: callbacks --------------------------------------------------------------------------------------------


def choose(turn: Turn, side: Side) -> None:
    """Submit a choice, or mark it where choices are confirmed first."""
    if turn.over or turn.paused or not _theirs(turn):
        return
    if st.session_state.get("confirm") and side != "skip":
        turn.chosen = side
    else:
        submit(turn, side)


def submit(turn: Turn, side: Side | None = None) -> None:
    """Hand the judgement in; what was typed stays where it is not taken."""
    side = side or turn.chosen
    if side is None or turn.over or turn.paused or not _theirs(turn):
        return
    lease = turn.lease
    keep(lease.id, turn.draft)
    campaign = campaigns.get(workbench().store, turn.campaign_id)
    seconds = min(turn.clock.seconds(time.monotonic()), 86_400.0)
    said_now = verdict(campaign, side, lease.a_left, turn.draft, seconds)
    try:
        turn.hand_in(said_now, datetime.now(UTC))
    except NotAccepted as error:
        twice = "You have judged this pair already, perhaps in another tab"
        turn.refused, turn.chosen = twice if error.code == "judged" else str(error), side
    except InvalidJudgement as error:
        tell(str(error))
    else:
        turn.over = True
        turn.done(side, seconds)


def undo(turn: Turn | None, campaign_id: str) -> None:
    """Take the last judgement back; its pair returns with the same sides and what was said."""
    who = identity()
    if who is None:
        return
    bench = workbench()
    last = annotations.last(bench.store, campaign_id, who.id)
    if last is None:
        tell("There is nothing to undo.")
        return
    if turn is not None:
        keep(turn.lease.id, turn.draft)
        drafts()[turn.lease.pair_id] = turn.draft
        turn.over = True
    try:
        lease = bench.desks[campaign_id].retract(who.id, last["id"], datetime.now(UTC))
    except NotAccepted as error:
        tell(str(error))
        return
    if last["choice"] != "skip":
        count(campaign_id, who.id, -1)
    if lease is None:
        tell("Undone. Its pair cannot come back now; this is another one.")
        return
    side, draft = said(last, lease.a_left)
    st.session_state["turns"][campaign_id, who.id] = Turn(campaign_id, lease, draft, side)
    tell("Undone. This is that pair again, with what you said marked.")


def drop(turn: Turn) -> None:
    """Go on without judging a pair that is no longer to be had."""
    turn.over = True
    tell(None)


def pause(turn: Turn) -> None:
    """Stop the clock and cover the answers, or go on."""
    turn.paused = not turn.paused
    if turn.paused:
        turn.clock = turn.clock.stop(time.monotonic())


def activity(turn: Turn, idle: float | None) -> None:
    """The browser says that nobody has touched it for ``idle`` seconds, or (None) that somebody does."""
    st.session_state["active"] = idle is None
    if idle is not None:
        turn.clock = turn.clock.stop(time.monotonic(), idle)


def renew(turn: Turn) -> None:
    """Hold the pair for longer, while it is still held."""
    if turn.over or turn.paused or turn.lapsed or not _theirs(turn):
        return
    turn.hold(datetime.now(UTC))


def flip(preference: str) -> None:
    """Switch a preference of this session on or off."""
    st.session_state[preference] = not st.session_state.get(preference, False)


# What they are told ---------------------------------------------------------------------------------------------------


def tell(notice: str | None) -> None:
    st.session_state["notice"] = notice


def count(campaign_id: str, annotator: str, change: int = 0) -> int:
    """How many they have judged today (their own day), kept up to date as they go."""
    zone = st.context.timezone or "UTC"
    midnight = datetime.now(ZoneInfo(zone)).replace(hour=0, minute=0, second=0, microsecond=0)
    counts: dict[Any, int] = st.session_state.setdefault("today", {})
    key = (campaign_id, annotator, midnight)
    if key not in counts:
        counts[key] = annotations.today(workbench().store, campaign_id, annotator, midnight)[0]
    else:
        counts[key] += change
    return counts[key]


@st.cache_resource(ttl=15, show_spinner=False)
def lately(_store: Store, campaign_id: str) -> campaigns.Progress:
    """How far a campaign was at some time in the last 15 seconds, so that the next pair never waits for it."""
    return overview.progress(_store, campaign_id)


def pace() -> float | None:
    """Median seconds a pair, in this session."""
    return median(_paces()) if _paces() else None


def _paces() -> list[float]:
    return st.session_state.setdefault("paces", [])


def drafts() -> dict[str, Draft]:
    """What was typed about pairs that went back unjudged, by pair."""
    return st.session_state.setdefault("drafts", {})


def _theirs(turn: Turn) -> bool:
    who = identity()
    return who is not None and who.id == turn.lease.annotator and who.may(turn.role)
