"""Adjudication: a pair that people disagree on goes to one more person, who settles it without having seen the votes.

A resolution is an annotation of its own source, never an overwrite. It decides the label of the pair wherever labels are
made (export, training, predictions held against people). It is no vote: agreement, consensus, bias and an annotator's
figures rest on the votes alone, since who adjudicates gets only pairs that are disputed.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlmodel import col, select

from core.adjudication import LEAST, Order, disputes
from core.judging import Verdict, check
from core.queueing import Lease, NotAccepted
from core.records import Choice, content_id
from storage import annotations, campaigns
from storage.desk import ADJUDICATION, Desks
from storage.store import Store, new_id
from storage.tables import AnnotationRow, PairRow


def disputed(
    store: Store,
    campaign_id: str,
    category: str | None = None,
    kinds: Sequence[str] = (),
    order: Order = "split",
    least: int = LEAST,
) -> list[str]:
    """The pairs of a campaign whose annotators (of some kinds) disagree, resolved or not, the most disputed first."""
    judged, _ = annotations.ratings(store, campaign_id=campaign_id, category=category, kinds=kinds)
    return disputes(judged, order, least).units


def resolutions(store: Store, campaign_id: str | None = None) -> dict[str, Choice]:
    """What adjudicators settled on (a, b, tie or both_bad) for each resolved pair; the latest where campaigns differ."""
    return dict(
        store.rows(
            """SELECT pair_id, arg_max(choice, submitted_at) FROM current_resolution
               WHERE choice <> 'skip' AND (campaign_id = $1 OR $1 IS NULL) GROUP BY pair_id""",
            campaign_id,
        )
    )


@dataclass(frozen=True, slots=True)
class Docket:
    """The disputed pairs as one adjudicator finds them, each counted once.

    ``resolved`` by whomever; ``own``: judged or skipped by the adjudicator as an annotator, so left to others;
    ``passed``: passed over by them here; ``held`` by other adjudicators; ``open`` are theirs, in the order given.
    """

    resolved: int
    own: int
    passed: int
    held: int
    open: list[str]

    @property
    def disputed(self) -> int:
        return self.resolved + self.own + self.passed + self.held + len(self.open)


class Adjudication:
    """Hands disputed pairs to adjudicators and takes in their resolutions; every method may be called from any thread.

    A pair is in the hands of one adjudicator at a time, by a lease in memory, and gets one resolution in a campaign.
    """

    def __init__(self, store: Store, desks: Desks) -> None:
        self._store = store
        self._desks = desks
        self._lock = threading.RLock()
        self._leases: dict[str, tuple[str, Lease]] = {}

    def docket(self, campaign_id: str, adjudicator: str, disputed: Sequence[str], now: datetime) -> Docket:
        """Where the disputed pairs stand."""
        resolved = resolutions(self._store, campaign_id)
        met: dict[str, bool] = dict(
            self._store.rows(
                """SELECT pair_id, bool_or(voted) FROM (
                     SELECT pair_id, TRUE AS voted FROM current_annotation WHERE annotator_id = $2
                     UNION ALL SELECT pair_id, FALSE FROM current_resolution WHERE campaign_id = $1 AND annotator_id = $2)
                   GROUP BY pair_id""",
                campaign_id, adjudicator,
            )
        )  # fmt: skip
        with self._lock:
            held = {lease.pair_id for lease in self._held(campaign_id, now) if lease.annotator != adjudicator}
        rest = [pair for pair in disputed if pair not in resolved]
        free = [pair for pair in rest if pair not in met]
        own = sum(met.get(pair, False) for pair in rest)
        return Docket(
            sum(pair in resolved for pair in disputed), own, len(rest) - len(free) - own,
            sum(pair in held for pair in free), [pair for pair in free if pair not in held],
        )  # fmt: skip

    def next(
        self, campaign_id: str, adjudicator: str, disputed: Sequence[str], now: datetime
    ) -> Lease | None:
        """The pair this adjudicator holds, or the first that is open to them; None where none is.

        Raises NotAccepted for an archived campaign.
        """
        campaign = campaigns.get(self._store, campaign_id)
        if campaign.archived:
            raise NotAccepted("yours_not", f"the campaign {campaign.name!r} is archived; choose another")
        with self._lock:
            for lease in self._held(campaign_id, now):
                if lease.annotator == adjudicator:
                    return lease
            found = self.docket(campaign_id, adjudicator, disputed, now).open
            if not found:
                return None
            a_left = int(content_id("l", str(campaign.seed), found[0], adjudicator)[-1], 16) % 2 == 0
            return self._hold(campaign_id, adjudicator, found[0], a_left, now)

    def renew(self, adjudicator: str, lease_id: str, now: datetime) -> Lease | None:
        """Start the lease's time again; None when it has run out, or is not theirs."""
        with self._lock:
            campaign_id, lease = self._leases.get(lease_id, ("", None))
            if lease is None or lease.annotator != adjudicator or lease.expires_at <= now:
                return None
            return self._hold(campaign_id, adjudicator, lease.pair_id, lease.a_left, now, lease.id)

    def release(self, adjudicator: str, lease_id: str) -> None:
        """Give a pair back unresolved."""
        with self._lock:
            if (held := self._leases.get(lease_id)) and held[1].annotator == adjudicator:
                del self._leases[lease_id]

    def resolve(
        self, adjudicator: str, pair_id: str, verdict: Verdict, now: datetime, *, lease_id: str
    ) -> AnnotationRow:
        """Take a resolution in; when this returns, it is on disk. The same again returns the same row.

        "skip" passes the pair over: another adjudicator gets it. Raises InvalidJudgement (a field is wrong) or
        NotAccepted (no such lease, resolved or taken by another meanwhile, judged by themselves).
        """
        row_id = content_id("a", lease_id, adjudicator)
        with self._lock:
            if (before := annotations.get(self._store, row_id)) is not None:
                if self._choice(before) != verdict.choice:
                    raise NotAccepted(
                        "judged", "you have resolved this pair already, and otherwise; undo that first"
                    )
                return before
            campaign_id, lease = self._leases.get(lease_id, ("", None))
            if lease is None or (lease.annotator, lease.pair_id) != (adjudicator, pair_id):
                raise NotAccepted(
                    "unknown", f"you hold no lease {lease_id!r} on this pair; ask for the next one"
                )
            campaign = campaigns.get(self._store, campaign_id)
            check(
                verdict,
                ties=campaign.ties,
                both_bad=campaign.both_bad,
                strength=campaign.strength,
                aspects=campaign.aspects,
            )
            if pair_id in resolutions(self._store, campaign_id):
                raise NotAccepted("full", "another adjudicator has resolved this pair meanwhile")
            if any(
                other.pair_id == pair_id and other.id != lease_id for other in self._held(campaign_id, now)
            ):
                raise NotAccepted("full", "this pair has gone to another adjudicator meanwhile")
            row = annotations.row_of(
                self._pair(pair_id), campaign_id, adjudicator, verdict, now,
                row_id=row_id, source=ADJUDICATION, a_left=lease.a_left,
            )  # fmt: skip
            desk = self._desks[campaign_id]
            desk.meet(adjudicator, pair_id, now)
            try:
                self._store.append(row)
            except Exception:
                desk.part(adjudicator, pair_id)
                raise
            del self._leases[lease_id]
            return row

    def retract(self, adjudicator: str, resolution_id: str, now: datetime) -> Lease | None:
        """Undo a resolution: it stays in the history, and its pair is held for the adjudicator again, sides as before.

        None where another has resolved or taken a pair meanwhile that they had passed over. Raises NotAccepted where they
        have no resolution of that id that stands.
        """
        with self._lock, self._store.reading() as session:
            old = session.get(AnnotationRow, resolution_id)
            if old is None or old.source != ADJUDICATION or old.annotator_id != adjudicator:
                raise NotAccepted("unknown", f"you have no resolution {resolution_id!r}")
            later = select(AnnotationRow.id).where(col(AnnotationRow.supersedes) == resolution_id)
            if old.verdict == "retracted" or session.exec(later).first():
                raise NotAccepted("judged", "that resolution was undone already; reload to see what stands")
            self._store.append(annotations.retraction_of(old, new_id("a"), now))
            self._desks[old.campaign_id].part(adjudicator, old.pair_id)
            taken = {lease.pair_id for lease in self._held(old.campaign_id, now)}
            if old.pair_id in taken | resolutions(self._store, old.campaign_id).keys():
                return None
            a_left = old.left_id == self._pair(old.pair_id).response_a
            return self._hold(old.campaign_id, adjudicator, old.pair_id, a_left, now)

    def _hold(
        self,
        campaign_id: str,
        adjudicator: str,
        pair_id: str,
        a_left: bool,
        now: datetime,
        lease_id: str | None = None,
    ) -> Lease:
        """Hold a pair for them, and no other of the campaign."""
        for lease in self._held(campaign_id, now):
            if lease.annotator == adjudicator:
                del self._leases[lease.id]
        minutes = campaigns.get(self._store, campaign_id).lease_minutes
        lease = Lease(
            lease_id or new_id("l"), pair_id, adjudicator, a_left, now, now + timedelta(minutes=minutes)
        )
        self._leases[lease.id] = campaign_id, lease
        return lease

    def _pair(self, pair_id: str) -> PairRow:
        card = self._desks.cards.get(pair_id)
        if card is None:
            raise NotAccepted("unknown", f"there is no pair {pair_id!r}")
        return card.pair

    def _choice(self, row: AnnotationRow) -> str:
        if row.preferred_id is None:
            return row.verdict
        return "a" if row.preferred_id == self._pair(row.pair_id).response_a else "b"

    def _held(self, campaign_id: str, now: datetime) -> list[Lease]:
        """The leases of a campaign that have not run out."""
        return [lease for of, lease in self._leases.values() if of == campaign_id and lease.expires_at > now]
