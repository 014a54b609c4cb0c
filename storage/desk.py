"""A campaign's annotation desk: hands out pairs, takes in judgements, and keeps queue and store in step."""

import threading
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

import numpy as np
from sqlmodel import col, delete, select, update

from core.judging import Verdict, check
from core.queueing import Lease, NotAccepted, Nothing, Queue, Rules
from core.records import content_id
from storage import annotations, campaigns
from storage.cards import Card, Cards
from storage.store import Store, new_id
from storage.tables import AnnotationRow, CampaignRow, LeaseRow

ADJUDICATION = "adjudication"
"""The source of a resolution: an annotation that settles the votes on a pair and is none itself."""

_AHEAD = 7
"""A pair that is read for the first time is read with so many of those that are likely to come next."""
_KEEP = timedelta(days=1)
"""An expired lease is remembered so long, so that a late judgement is still taken where there is room."""


class Desk:
    """One campaign's desk. Every method may be called from any thread; the app has one desk a campaign.

    The queue decides in memory under a short lock; the rows it leads to are then committed together with those of
    other annotators. What must not happen while judgements come in (an import, new rules) runs inside ``closed()``.
    """

    def __init__(self, store: Store, cards: Cards, campaign_id: str) -> None:
        self._store = store
        self._cards = cards
        self._campaign_id = campaign_id
        self._lock = threading.Lock()
        self._turns: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
        self._gate = threading.Condition()
        self._busy = 0
        self._shut = False
        self._loaded: tuple[CampaignRow, Queue] | None = None

    def next(self, annotator: str, now: datetime) -> Lease | Nothing:
        """The pair this annotator holds, or a new one for them.

        Raises NotAccepted when they are not on the campaign, or it is archived.
        """
        with self._open(annotator) as (campaign, queue):
            if campaign.archived:
                raise NotAccepted("yours_not", f"the campaign {campaign.name!r} is archived; choose another")
            with self._lock:
                held = queue.held(annotator)
                found = queue.next(annotator, now)
                if isinstance(found, Nothing):
                    return found
                known = found.pair_id in self._cards
                soon = [] if known else [found.pair_id, *queue.ahead(annotator, _AHEAD)]
            self._cards.of(soon)
            if found not in held:
                self._store.append(self._lease_row(found, queue))
            return found

    def progress(self) -> tuple[int, int]:
        """Judgements there are and judgements wanted, as the queue counts them."""
        with self._gate:
            _, queue = self._ready()
        with self._lock:
            return queue.progress()

    def submit(
        self,
        annotator: str,
        pair_id: str,
        verdict: Verdict,
        now: datetime,
        *,
        source: str,
        lease_id: str | None = None,
        annotation_id: str | None = None,
    ) -> AnnotationRow:
        """Take a judgement in; when this returns, it is on disk. The same submit again returns the same row.

        Raises InvalidJudgement (a field is wrong) or NotAccepted (full, judged, unknown, not theirs).
        """
        with self._open(annotator) as (campaign, queue), self._turns[annotator]:
            _check(verdict, campaign)
            self._responses(pair_id)
            row_id = annotation_id or (content_id("a", lease_id, annotator) if lease_id else new_id("a"))
            with self._lock:
                lease = queue.lease(lease_id) if lease_id else queue.held_on(annotator, pair_id)
            may_be_there = lease is None or annotation_id is not None
            if may_be_there and (before := self._same(row_id, annotator, pair_id, verdict)) is not None:
                return before
            if lease is None and lease_id:
                lease = self._lease(lease_id)
            if lease_id and (lease is None or (lease.annotator, lease.pair_id) != (annotator, pair_id)):
                raise NotAccepted(
                    "unknown", f"you hold no lease {lease_id!r} on this pair; ask for the next one"
                )
            a_left = lease.a_left if lease else None
            repeat = lease.repeat if lease else False
            skip = verdict.choice == "skip"
            with self._lock:
                queue.settle(annotator, pair_id, a_left, now, skip=skip, repeat=repeat)
            row = self._row(row_id, annotator, pair_id, verdict, now, source, a_left)
            row.lease_id, row.repeat = lease.id if lease else None, repeat
            try:
                self._store.append(row)
            except Exception:
                with self._lock:
                    queue.unsettle(annotator, pair_id, a_left, skip=skip, repeat=repeat)
                raise
            return row

    def edit(
        self, annotator: str, annotation_id: str, verdict: Verdict, now: datetime, *, source: str
    ) -> AnnotationRow:
        """Append a judgement that supersedes an earlier one of the same annotator. Raises as ``submit`` does."""
        with self._open(annotator) as (campaign, queue), self._lock:
            _check(verdict, campaign)
            old = self._current(annotation_id, annotator)
            change = 0 if old.repeat else (old.verdict == "skip") - (verdict.choice == "skip")
            a_left = self._a_left(old.pair_id, old.left_id)
            if change:
                queue.recount(annotator, old.pair_id, a_left, change)
            row = self._row(new_id("a"), annotator, old.pair_id, verdict, now, source, a_left)
            row.lease_id, row.repeat, row.supersedes = old.lease_id, old.repeat, old.id
            try:
                self._store.append(row)
            except Exception:
                if change:
                    queue.recount(annotator, old.pair_id, a_left, -change)
                raise
            return row

    def retract(self, annotator: str, annotation_id: str, now: datetime) -> Lease | None:
        """Undo a judgement: it stays in the history, and its pair is held for the annotator again, sides as before."""
        with self._open(annotator) as (_, queue), self._lock:
            old = self._current(annotation_id, annotator)
            self._store.append(annotations.retraction_of(old, new_id("a"), now))
            a_left = self._a_left(old.pair_id, old.left_id)
            queue.unsettle(annotator, old.pair_id, a_left, skip=old.verdict == "skip", repeat=old.repeat)
            released = queue.held(annotator)
            lease = queue.take(annotator, old.pair_id, a_left, now, repeat=old.repeat)
            if lease is not None:
                with self._store.writing() as session:
                    session.exec(delete(LeaseRow).where(col(LeaseRow.id).in_([x.id for x in released])))
                    session.add(self._lease_row(lease, queue))
            return lease

    def renew(self, annotator: str, lease_id: str, now: datetime) -> Lease | None:
        """Start the lease's time again; None when the annotator does not hold it, or no longer."""
        with self._open(annotator) as (_, queue):
            with self._lock:
                queue.expire(now)
                held = queue.lease(lease_id)
                lease = (
                    queue.renew(lease_id, now) if held is not None and held.annotator == annotator else None
                )
            if lease is not None:
                with self._store.writing() as session:
                    this = col(LeaseRow.id) == lease_id
                    session.exec(update(LeaseRow).where(this).values(expires_at=lease.expires_at))
            return lease

    def meet(self, annotator: str, pair_id: str, now: datetime) -> None:
        """They have met a pair elsewhere, so that it is not handed to them here.

        Raises NotAccepted where they have met it already, or it is not part of the campaign.
        """
        with self._open() as (_, queue), self._lock:
            queue.settle(annotator, pair_id, None, now, skip=True)

    def part(self, annotator: str, pair_id: str) -> None:
        """Take ``meet`` back."""
        with self._open() as (_, queue), self._lock:
            queue.unsettle(annotator, pair_id, None, skip=True)

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Nothing is handed out or taken in meanwhile; afterwards the queue is read from the store anew."""
        with self._gate:
            self._gate.wait_for(lambda: not self._shut)
            self._shut = True
            self._gate.wait_for(lambda: self._busy == 0)
        try:
            yield
        finally:
            with self._gate:
                self._loaded, self._shut = None, False
                self._gate.notify_all()

    @contextmanager
    def _open(self, annotator: str | None = None) -> Iterator[tuple[CampaignRow, Queue]]:
        with self._gate:
            campaign, queue = self._ready()
            self._busy += 1
        try:
            if annotator and campaign.annotators and annotator not in campaign.annotators:
                raise NotAccepted(
                    "yours_not", f"you are not among the annotators of {campaign.name!r}; ask a lead"
                )
            yield campaign, queue
        finally:
            with self._gate:
                self._busy -= 1
                self._gate.notify_all()

    def _ready(self) -> tuple[CampaignRow, Queue]:
        """The campaign and its queue, once the desk is not closed; the gate is held meanwhile."""
        self._gate.wait_for(lambda: not self._shut)
        if self._loaded is None:
            self._loaded = self._load()
        return self._loaded

    def _load(self) -> tuple[CampaignRow, Queue]:
        campaign = campaigns.get(self._store, self._campaign_id)
        rules = Rules(
            campaign.k,
            campaign.ordering,
            campaign.gold_share,
            campaign.repeat_share,
            timedelta(minutes=campaign.lease_minutes),
            campaign.seed,
        )
        table = self._store.table(
            """SELECT pair_id, coalesce(n, 0) AS judged, coalesce(lean, 0)::BIGINT AS lean, gold IS NOT NULL AS gold
               FROM campaign_pair JOIN pair ON pair.id = pair_id LEFT JOIN (
                 SELECT pair_id, count(*) AS n,
                        sum(CASE left_id WHEN response_a THEN 1 WHEN response_b THEN -1 END) AS lean
                 FROM current_annotation JOIN pair ON pair.id = pair_id
                 WHERE campaign_id = ? AND verdict <> 'skip' AND NOT repeat GROUP BY pair_id) USING (pair_id)
               WHERE campaign_id = ? ORDER BY pair_id""",
            campaign.id, campaign.id,
        )  # fmt: skip
        now = datetime.now(UTC)
        with self._store.writing() as session:
            session.exec(delete(LeaseRow).where(col(LeaseRow.expires_at) <= now - _KEEP))
        held = self._store.rows(
            """SELECT lease.id, pair_id, annotator_id, left_id = response_a, issued_at, expires_at, repeat
               FROM lease JOIN pair ON pair.id = pair_id WHERE campaign_id = ? AND expires_at > ?
               AND lease.id NOT IN (SELECT lease_id FROM annotation WHERE lease_id IS NOT NULL)
               AND (pair_id, annotator_id, repeat) NOT IN (
                 SELECT (pair_id, annotator_id, repeat) FROM current_annotation WHERE campaign_id = ?
                 UNION ALL SELECT (pair_id, annotator_id, FALSE) FROM current_resolution WHERE campaign_id = ?)
               ORDER BY issued_at""",
            campaign.id, now, campaign.id, campaign.id,
        )  # fmt: skip
        queue = Queue(
            rules,
            table["pair_id"].to_pylist(),
            table["judged"].to_numpy().astype(np.int64),
            table["lean"].to_numpy().astype(np.int64),
            table["gold"].to_numpy(zero_copy_only=False),
            self._met,
            lambda: new_id("l"),
            [Lease(*row) for row in held],
        )
        return campaign, queue

    def _met(self, annotator: str) -> Iterable[tuple[str, bool | None, bool]]:
        return self._store.rows(
            """SELECT pair_id, a_left, repeat FROM (
                 SELECT pair_id, CASE WHEN verdict <> 'skip' THEN left_id = response_a END AS a_left, repeat, submitted_at
                 FROM current_annotation JOIN pair ON pair.id = pair_id WHERE campaign_id = $1 AND annotator_id = $2
                 UNION ALL SELECT pair_id, NULL, FALSE, submitted_at FROM current_resolution
                 WHERE campaign_id = $1 AND annotator_id = $2) ORDER BY submitted_at""",
            self._campaign_id, annotator,
        )  # fmt: skip

    def _row(
        self,
        row_id: str,
        annotator: str,
        pair_id: str,
        verdict: Verdict,
        now: datetime,
        source: str,
        a_left: bool | None,
    ) -> AnnotationRow:
        return annotations.row_of(
            self._card(pair_id).pair, self._campaign_id, annotator, verdict, now, row_id=row_id, source=source, a_left=a_left
        )  # fmt: skip

    def _lease_row(self, lease: Lease, queue: Queue) -> LeaseRow:
        response_a, response_b = self._responses(lease.pair_id)
        return LeaseRow(
            id=lease.id,
            campaign_id=self._campaign_id,
            pair_id=lease.pair_id,
            annotator_id=lease.annotator,
            left_id=response_a if lease.a_left else response_b,
            repeat=lease.repeat,
            issued_at=lease.issued_at,
            expires_at=lease.expires_at,
        )

    def _card(self, pair_id: str) -> Card:
        card = self._cards.get(pair_id)
        if card is None:
            raise NotAccepted("unknown", f"there is no pair {pair_id!r}")
        return card

    def _responses(self, pair_id: str) -> tuple[str, str]:
        pair = self._card(pair_id).pair
        return pair.response_a, pair.response_b

    def _lease(self, lease_id: str) -> Lease | None:
        """A lease that is no longer held, from the store."""
        with self._store.reading() as session:
            row = session.get(LeaseRow, lease_id)
        if row is None or row.campaign_id != self._campaign_id:
            return None
        a_left = row.left_id == self._responses(row.pair_id)[0]
        return Lease(row.id, row.pair_id, row.annotator_id, a_left, row.issued_at, row.expires_at, row.repeat)

    def _a_left(self, pair_id: str, left_id: str | None) -> bool | None:
        return None if left_id is None else left_id == self._responses(pair_id)[0]

    def _same(self, row_id: str, annotator: str, pair_id: str, verdict: Verdict) -> AnnotationRow | None:
        """The row of that id, if it says the same; raises NotAccepted if it says something else."""
        with self._store.reading() as session:
            row = session.get(AnnotationRow, row_id)
        if row is None:
            return None
        kind = "prefer" if verdict.choice in ("a", "b") else verdict.choice
        preferred = dict(zip("ab", self._responses(pair_id), strict=True)).get(verdict.choice)
        said = (self._campaign_id, annotator, pair_id, kind, preferred)
        if (row.campaign_id, row.annotator_id, row.pair_id, row.verdict, row.preferred_id) != said:
            raise NotAccepted(
                "judged", f"annotation {row_id} is there already and says otherwise; edit it instead"
            )
        return row

    def _current(self, annotation_id: str, annotator: str) -> AnnotationRow:
        with self._store.reading() as session:
            row = session.get(AnnotationRow, annotation_id)
            later = session.exec(
                select(AnnotationRow.id).where(col(AnnotationRow.supersedes) == annotation_id)
            ).first()
        if row is None or row.annotator_id != annotator or row.campaign_id != self._campaign_id:
            raise NotAccepted("unknown", f"you have no annotation {annotation_id!r} in this campaign")
        if row.source == ADJUDICATION:
            raise NotAccepted("yours_not", "that is a resolution, not a vote; undo it where you adjudicate")
        if later is not None or row.verdict == "retracted":
            raise NotAccepted(
                "judged", "that annotation was changed or undone already; reload to see what stands"
            )
        return row


class Desks:
    """The desks of all campaigns, made when first asked for: ``desks[campaign_id]``."""

    def __init__(self, store: Store) -> None:
        self.cards = Cards(store)
        self._store = store
        self._lock = threading.Lock()
        self._desks: dict[str, Desk] = {}

    def __getitem__(self, campaign_id: str) -> Desk:
        with self._lock:
            if campaign_id not in self._desks:
                self._desks[campaign_id] = Desk(self._store, self.cards, campaign_id)
            return self._desks[campaign_id]


def _check(verdict: Verdict, campaign: CampaignRow) -> None:
    check(
        verdict,
        ties=campaign.ties,
        both_bad=campaign.both_bad,
        strength=campaign.strength,
        aspects=campaign.aspects,
    )
