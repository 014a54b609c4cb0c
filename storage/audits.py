"""The audit as it is read: filtered, paged, and whole for a download."""

from dataclasses import dataclass
from datetime import date
from io import BytesIO
from typing import Any

from pyarrow import csv

from storage.store import Store

_FROM = "FROM audit LEFT JOIN annotator ON annotator.id = actor LEFT JOIN account ON account.login = actor"
_NAME = "coalesce(annotator.name, account.name, actor)"


@dataclass(frozen=True, slots=True)
class Filter:
    """What to show; None (and a blank ``record``) leaves a field open. ``record`` is a record's type or id; days are UTC, both included."""

    actor: str | None = None
    action: str | None = None
    record: str = ""
    first: date | None = None
    last: date | None = None


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
    actions = store.rows("SELECT DISTINCT action FROM audit ORDER BY 1")
    return [name for (name,) in actors], [action for (action,) in actions]


def _select(where: str) -> str:
    return f"""SELECT occurred_at AT TIME ZONE 'UTC' AS occurred_at, {_NAME} AS actor, action, record_type, record_id,
               CAST(detail AS TEXT) AS detail {_FROM} WHERE {where} ORDER BY audit.occurred_at DESC, audit.id"""


def _where(wanted: Filter) -> tuple[str, list[object]]:
    conditions: dict[str, tuple[object, ...]] = {
        f"{_NAME} = ?": (wanted.actor,),
        "action = ?": (wanted.action,),
        "(record_type = ? OR record_id = ?)": (wanted.record.strip() or None,) * 2,
        "CAST(occurred_at AT TIME ZONE 'UTC' AS DATE) >= ?": (wanted.first,),
        "CAST(occurred_at AT TIME ZONE 'UTC' AS DATE) <= ?": (wanted.last,),
    }
    given = {condition: values for condition, values in conditions.items() if values[0] is not None}
    return " AND ".join(["TRUE", *given]), [value for values in given.values() for value in values]
