"""Campaigns: bodies of annotation work, their pairs and their progress."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pyarrow as pa
from sqlmodel import Session, col, select

from core.queueing import ORDERINGS
from storage.store import Store, audit, insert, new_id
from storage.tables import CampaignRow


class CampaignError(ValueError):
    """A campaign's rules cannot be used; the message names the field and what it must be."""


def first(store: Store) -> CampaignRow:
    """The oldest campaign in use; there is always one."""
    if campaigns := listed(store):
        return campaigns[0]
    with store.writing():
        campaigns = listed(store)
        return campaigns[0] if campaigns else create(store, CampaignRow(id="", name="Main"), "attune")


def listed(store: Store, *, archived: bool = False) -> list[CampaignRow]:
    """The campaigns, oldest first."""
    query = select(CampaignRow).order_by(col(CampaignRow.created_at))
    if not archived:
        query = query.where(col(CampaignRow.archived).is_(False))
    with store.reading() as session:
        return list(session.exec(query))


def get(store: Store, campaign_id: str | None) -> CampaignRow:
    """The campaign, the first one for None. Raises CampaignError when there is none of that id."""
    if campaign_id is None:
        return first(store)
    with store.reading() as session:
        campaign = session.get(CampaignRow, campaign_id)
    if campaign is None:
        raise CampaignError(f"campaign: there is none with the id {campaign_id!r}")
    return campaign


def find(store: Store, campaign_id: str | None) -> str:
    """The id of the campaign, of the first one for None; quicker than ``get``. Raises CampaignError likewise."""
    if campaign_id is None:
        rows = store.rows("SELECT id FROM campaign WHERE NOT archived ORDER BY created_at LIMIT 1")
    else:
        rows = store.rows("SELECT id FROM campaign WHERE id = ?", campaign_id)
    return rows[0][0] if rows else get(store, campaign_id).id


def create(store: Store, campaign: CampaignRow, actor: str) -> CampaignRow:
    """Store a new campaign (its id and time are set here). Raises CampaignError."""
    with store.writing() as session:
        _check(store, campaign)
        campaign.id = new_id("c")
        campaign.created_at = datetime.now(UTC)
        session.add(campaign)
        audit(session, actor, "create", "campaign", campaign.id, name=campaign.name, k=campaign.k)
    return campaign


def update(store: Store, campaign: CampaignRow, actor: str) -> None:
    """Store changed rules of a campaign; the audit keeps what each field was. Raises CampaignError.

    Close the campaign's desk around this, so that the queue takes the new rules up.
    """
    with store.writing() as session:
        _check(store, campaign)
        before = session.get_one(CampaignRow, campaign.id).model_dump(mode="json")
        after = campaign.model_dump(mode="json")
        changes = {name: [before[name], after[name]] for name in after if before[name] != after[name]}
        if changes:
            session.merge(campaign)
            audit(session, actor, "update", "campaign", campaign.id, **changes)


def add_pairs(session: Session, campaign_id: str, pair_ids: Sequence[str]) -> int:
    """Put pairs into a campaign; returns how many were not in it yet. Close its desk around this."""
    incoming = pa.table({"campaign_id": [campaign_id] * len(pair_ids), "pair_id": list(pair_ids)})
    return insert(session, "campaign_pair", incoming, unless="campaign_id, pair_id")


def add_from(store: Store, campaign_id: str, source_id: str | None, actor: str) -> int:
    """Put the pairs of another campaign (None: all of the store) into a campaign; returns how many were not in it yet.

    Close its desk around this.
    """
    from_where = (
        "SELECT pair_id FROM campaign_pair WHERE campaign_id = ?"
        if source_id
        else "SELECT id AS pair_id FROM pair"
    )
    ids = [row[0] for row in store.rows(from_where, *([source_id] if source_id else []))]
    with store.writing() as session:
        added = add_pairs(session, campaign_id, ids)
        audit(
            session, actor, "add pairs", "campaign", campaign_id, source=source_id or "all pairs", added=added
        )
    return added


def _check(store: Store, campaign: CampaignRow) -> None:
    if not campaign.name.strip():
        raise CampaignError("name: give the campaign a name")
    if any(c.name == campaign.name and c.id != campaign.id for c in listed(store, archived=True)):
        raise CampaignError(f"name: there is a campaign named {campaign.name!r} already")
    if campaign.archived and all(c.id == campaign.id for c in listed(store)):
        raise CampaignError("archived: this is the only campaign in use; make another one first")
    if not 1 <= campaign.k <= 100:
        raise CampaignError(f"k: annotators a pair must be from 1 to 100, not {campaign.k}")
    if campaign.ordering not in ORDERINGS:
        raise CampaignError(f"ordering: must be one of {', '.join(ORDERINGS)}, not {campaign.ordering!r}")
    if not (
        campaign.gold_share >= 0
        and campaign.repeat_share >= 0
        and campaign.gold_share + campaign.repeat_share <= 0.5
    ):
        raise CampaignError("gold_share, repeat_share: together they may take at most half of the work (0.5)")
    if not 1 <= campaign.lease_minutes <= 1440:
        raise CampaignError(f"lease_minutes: must be from 1 to 1440, not {campaign.lease_minutes}")


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a campaign is: judgements ``done`` of ``wanted`` (k a pair), and its recent pace.

    ``per_hour`` is the judgements in the last 24 hours over the hours in which there were any; None before the first.
    ``median_seconds`` is the median active time of a judgement, over the last 1,000 timed ones that were not simulated.
    """

    pairs: int
    complete: int
    done: int
    wanted: int
    annotators: int
    per_hour: float | None
    median_seconds: float | None

    @property
    def left(self) -> int:
        return self.wanted - self.done

    @property
    def work_left(self) -> timedelta | None:
        """Annotators' working time left, at the median pace."""
        return None if self.median_seconds is None else timedelta(seconds=self.left * self.median_seconds)

    @property
    def time_left(self) -> timedelta | None:
        """Until the end at the recent rate, counting only hours like those in which people worked."""
        return None if not self.per_hour else timedelta(hours=self.left / self.per_hour)


def progress(store: Store, campaign: CampaignRow) -> Progress:
    """How far the campaign is; a pair counts for at most k judgements, skips and repeats for none."""
    pairs, complete, done = store.rows(
        """WITH votes AS (SELECT pair_id, count(*) AS n FROM current_annotation
                          WHERE campaign_id = ? AND verdict <> 'skip' AND NOT repeat GROUP BY pair_id)
           SELECT count(*), count(*) FILTER (n >= ?), coalesce(sum(least(coalesce(n, 0), ?)), 0)
           FROM campaign_pair LEFT JOIN votes USING (pair_id) WHERE campaign_id = ?""",
        campaign.id, campaign.k, campaign.k, campaign.id,
    )[0]  # fmt: skip
    since = datetime.now(UTC) - timedelta(hours=24)
    annotators = store.rows(
        "SELECT count(DISTINCT annotator_id) FROM current_annotation WHERE campaign_id = ?", campaign.id
    )[0][0]
    recent, hours = store.rows(
        """SELECT count(*), count(DISTINCT epoch(submitted_at)::BIGINT // 3600) FROM current_annotation
           WHERE campaign_id = ? AND submitted_at >= ? AND source IN ('person', 'api')
           AND verdict <> 'skip' AND NOT repeat""",
        campaign.id, since,
    )[0]  # fmt: skip
    median = store.rows(
        """SELECT median(seconds) FROM (SELECT seconds FROM annotation WHERE campaign_id = ? AND seconds IS NOT NULL
           AND verdict NOT IN ('skip', 'retracted') AND source NOT IN ('simulated', 'adjudication')
           ORDER BY submitted_at DESC LIMIT 1000)""",
        campaign.id,
    )[0][0]
    return Progress(
        pairs, complete, int(done), pairs * campaign.k, annotators, recent / hours if hours else None, median
    )
