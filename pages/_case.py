"""The disputed pair in an adjudicator's hands: until it is resolved, and then with the votes beside it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

import streamlit as st

from core.adjudication import LEAST, Order
from core.judging import Verdict
from core.queueing import NotAccepted
from core.roles import Identity, Role
from pages._session import identity
from pages._turn import Turn, drafts, tell
from pages._verdict import Side, keep, said
from storage import annotations
from storage.tables import CampaignRow
from storage.workbench import workbench

Scope = tuple[str | None, tuple[str, ...], Order, int]
"""What the queue is narrowed to: category, kinds of annotator, order, least votes."""
PASSED = "Passed over: another adjudicator gets it."


@dataclass
class Case(Turn):
    """A disputed pair; ``votes`` says that it is resolved, and that what the others said is on the screen."""

    votes: bool = False
    role: ClassVar[Role] = "lead"

    def hand_in(self, said: Verdict, now: datetime) -> None:
        lease = self.lease
        workbench().adjudication.resolve(lease.annotator, lease.pair_id, said, now, lease_id=lease.id)

    def hold(self, now: datetime) -> None:
        found = workbench().adjudication.renew(self.lease.annotator, self.lease.id, now)
        self.lease = found or self.lease

    def done(self, side: Side, seconds: float) -> None:
        self.votes = side != "skip"
        tell(PASSED if side == "skip" else None)


def case_of(campaign: CampaignRow, who: Identity, disputed: list[str]) -> Case | None:
    """What they hold or have just resolved, or the next disputed pair. Raises NotAccepted for an archived campaign."""
    case = _cases().get((campaign.id, who.id))
    if case is None or (case.over and not case.votes):
        lease = workbench().adjudication.next(campaign.id, who.id, disputed, datetime.now(UTC))
        if lease is None:
            _cases().pop((campaign.id, who.id), None)
            return None
        case = _cases()[campaign.id, who.id] = Case(campaign.id, lease, drafts().pop(lease.pair_id, {}))
    return case


def scope(campaign_id: str) -> Scope:
    """What the queue is narrowed to, as the fields of the page have it."""
    kept: Any = st.session_state.get
    return (
        kept("adjudicate category"),
        tuple(sorted(kept(f"adjudicate kinds {campaign_id}") or ())),
        kept("adjudicate order") or "split",
        kept("adjudicate least") or LEAST,
    )


# What people do: callbacks --------------------------------------------------------------------------------------------


def go_on(case: Case) -> None:
    """The votes were read; the next pair."""
    case.votes = False
    tell(None)


def narrowed(campaign_id: str) -> None:
    """The queue is narrowed in another way, so the pair in hand goes back and the first of the new order comes."""
    who = identity()
    if who is not None and (case := _cases().pop((campaign_id, who.id), None)) is not None:
        _put_back(case)
    tell(None)


def undo(campaign_id: str) -> None:
    """Take the last resolution back; its pair returns with the same sides and what was said."""
    who = identity()
    if who is None or not who.may("lead"):
        return
    bench = workbench()
    last = annotations.last(bench.store, campaign_id, who.id, resolutions=True)
    if last is None:
        tell("There is nothing to undo.")
        return
    if (case := _cases().pop((campaign_id, who.id), None)) is not None and not case.over:
        _put_back(case)
    try:
        lease = bench.adjudication.retract(who.id, last["id"], datetime.now(UTC))
    except NotAccepted as error:
        tell(str(error))
        return
    if lease is None:
        tell("Undone. Its pair has gone to another adjudicator meanwhile; this is another one.")
        return
    side, draft = said(last, lease.a_left)
    _cases()[campaign_id, who.id] = Case(campaign_id, lease, draft, side)
    tell("Undone. This is that pair again, with what you said marked.")


def _put_back(case: Case) -> None:
    keep(case.lease.id, case.draft)
    drafts()[case.lease.pair_id] = case.draft
    workbench().adjudication.release(case.lease.annotator, case.lease.id)


def _cases() -> dict[tuple[str, str], Case]:
    return st.session_state.setdefault("cases", {})
