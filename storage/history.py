"""The history of annotations: found by what was asked, who said it, what they said and when; paged, and whole for a download."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

import pyarrow as pa
from pyarrow import csv

from storage.store import Store

_FROM = """FROM current_annotation v JOIN pair ON pair.id = v.pair_id JOIN prompt ON prompt.id = pair.prompt_id
           JOIN campaign ON campaign.id = v.campaign_id LEFT JOIN annotator ON annotator.id = v.annotator_id"""
_NEWEST_FIRST = "ORDER BY v.submitted_at DESC, v.id"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which of the annotations that stand, skips included; None (and a blank ``search``) leaves a field open.

    ``search`` looks in the prompt and in the reason. ``choice`` is one of ``core.records.CHOICES`` or skip. Days are UTC, both included.
    """

    campaign_id: str | None = None
    category: str | None = None
    annotator_id: str | None = None
    choice: str | None = None
    search: str = ""
    first: date | None = None
    last: date | None = None


def page(
    store: Store, wanted: Filter, *, offset: int = 0, limit: int = 50
) -> tuple[list[dict[str, Any]], int]:
    """One page of the annotations that match, newest first, and how many match in all."""
    where, values = _where(wanted)
    total = store.rows(f"SELECT count(*) {_FROM} WHERE {where}", *values)[0][0]
    ids = store.rows(
        f"SELECT v.id {_FROM} WHERE {where} {_NEWEST_FIRST} LIMIT ? OFFSET ?", *values, limit, offset
    )
    return of(store, [annotation_id for (annotation_id,) in ids]), total


def of(store: Store, ids: Sequence[str]) -> list[dict[str, Any]]:
    """Annotations by their ids, newest first."""
    rows: list[dict[str, Any]] = _select(store, "v.id IN (SELECT unnest(?))", list(ids)).to_pylist()
    return rows


def to_csv(store: Store, wanted: Filter) -> bytes:
    """All that match, newest first, as CSV; times are UTC."""
    where, values = _where(wanted)
    sink = BytesIO()
    csv.write_csv(_select(store, where, *values), sink)
    return sink.getvalue()


def _select(store: Store, where: str, *values: object) -> pa.Table:
    return store.table(
        f"""SELECT v.id, v.submitted_at, campaign.name AS campaign, v.pair_id, prompt.text AS prompt, category,
                   annotator.name AS annotator, v.choice, v.strength, v.confidence, v.reason, v.seconds, v.source
            {_FROM} WHERE {where} {_NEWEST_FIRST}""",
        *values,
    )


def _where(wanted: Filter) -> tuple[str, list[object]]:
    found = "(contains(lower(prompt.text), lower(?)) OR contains(lower(v.reason), lower(?)))"
    conditions: dict[str, tuple[object, ...]] = {
        "v.campaign_id = ?": (wanted.campaign_id,),
        "category = ?": (wanted.category,),
        "v.annotator_id = ?": (wanted.annotator_id,),
        "v.choice = ?": (wanted.choice,),
        found: (wanted.search.strip() or None,) * 2,
        "CAST(v.submitted_at AS DATE) >= ?": (wanted.first,),
        "CAST(v.submitted_at AS DATE) <= ?": (wanted.last,),
    }
    given = {condition: values for condition, values in conditions.items() if values[0] is not None}
    return " AND ".join(["TRUE", *given]), [value for values in given.values() for value in values]
