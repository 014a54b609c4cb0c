"""The audit as it is read: filtered, paged, and whole for a download; each judgement of a person is an entry too."""

from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

from pyarrow import csv

from storage.store import Store

_FROM = """
    FROM (SELECT id, occurred_at, actor, action, record_type, record_id, detail FROM audit UNION ALL
          SELECT id, submitted_at, annotator_id,
                 CASE WHEN verdict = 'retracted' THEN 'undo' WHEN supersedes IS NOT NULL THEN 'edit'
                      WHEN source = 'adjudication' THEN 'adjudicate' ELSE 'annotate' END,
                 'annotation', id,
                 json_object('campaign', campaign_id, 'pair', pair_id, 'verdict', verdict, 'preferred', preferred_id,
                             'by', source, 'supersedes', supersedes)
          FROM annotation WHERE source NOT IN ('import', 'simulated')) AS entry
    LEFT JOIN annotator ON annotator.id = actor LEFT JOIN account ON account.login = actor
"""
"""Annotations are append-only and say who made them when, so they are read as entries instead of being written twice; those of an
import or of simulated annotators have one entry together."""
_RECORDS = " UNION ALL ".join(
    [
        "SELECT id, id AS campaign_id FROM campaign",
        "SELECT pair_id, campaign_id FROM campaign_pair",
        "SELECT prompt_id, campaign_id FROM campaign_pair JOIN pair ON pair.id = pair_id",
        *(f"SELECT id, campaign_id FROM {table}" for table in ("job", "model", "probe", "drift")),
    ]
)
"""The records that are of a campaign."""
_NAME = "coalesce(annotator.name, account.name, actor)"


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; None (and a blank ``record``) leaves a field open. ``record`` is a record's type or id, or the id of the pair
    that was judged; days are UTC, both included."""

    actor: str | None = None
    action: str | None = None
    record: str = ""
    first: date | None = None
    last: date | None = None
    campaign_id: str | None = None


def page(
    store: Store, wanted: Filter, *, offset: int = 0, limit: int = 50
) -> tuple[list[dict[str, Any]], int]:
    """One page of the entries that match, newest first, and how many match in all."""
    where, values = _where(wanted)
    total = store.rows(f"SELECT count(*) {_FROM} WHERE {where}", *values)[0][0]
    table = store.table(f"{_select(where)} LIMIT ? OFFSET ?", *values, limit, offset)
    return table.to_pylist(), total


def to_csv(store: Store, wanted: Filter) -> bytes:
    """All entries that match, newest first, as CSV; times are UTC."""
    where, values = _where(wanted)
    sink = BytesIO()
    csv.write_csv(store.table(_select(where), *values), sink)
    return sink.getvalue()


def choices(store: Store) -> tuple[list[str], list[str]]:
    """The names of all actors and all actions that the audit holds."""
    actors = store.rows(f"SELECT DISTINCT {_NAME} {_FROM} ORDER BY 1")
    actions = store.rows(f"SELECT DISTINCT action {_FROM} ORDER BY 1")
    return [name for (name,) in actors], [action for (action,) in actions]


def _select(where: str) -> str:
    return f"""SELECT occurred_at AT TIME ZONE 'UTC' AS occurred_at, {_NAME} AS actor, action, record_type, record_id,
               CAST(entry.detail AS TEXT) AS detail {_FROM} WHERE {where} ORDER BY entry.occurred_at DESC, entry.id"""


def _where(wanted: Filter) -> tuple[str, list[object]]:
    conditions: dict[str, tuple[object, ...]] = {
        f"{_NAME} = ?": (wanted.actor,),
        "action = ?": (wanted.action,),
        "(record_type = ? OR record_id = ? OR (detail->>'pair') = ?)": (wanted.record.strip() or None,) * 3,
        "CAST(occurred_at AT TIME ZONE 'UTC' AS DATE) >= ?": (wanted.first,),
        "CAST(occurred_at AT TIME ZONE 'UTC' AS DATE) <= ?": (wanted.last,),
        f"((detail->>'campaign') = ? OR record_id IN (SELECT id FROM ({_RECORDS}) WHERE campaign_id = ?))": (
            wanted.campaign_id,
        )
        * 2,
    }
    given = {condition: values for condition, values in conditions.items() if values[0] is not None}
    return " AND ".join(["TRUE", *given]), [value for values in given.values() for value in values]
