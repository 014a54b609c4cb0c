"""Models in production: their deployments, what they were asked, and what people said since."""

import threading
from datetime import UTC, datetime

import pyarrow as pa

from core.held_out import HeldOut, Unit, unseen
from core.production import Period, Production, Route, bucket, production
from storage import models
from storage.models import SPLITS
from storage.store import Store, insert


class Served:
    """The requests that models of this process had, counted in memory by the minute and written many at once.

    A commit for each would slow all of them, and whatever is computed from the store is computed anew after a commit. A process that
    is killed loses what was counted since the last ``write``: about a minute, where ``jobs.ingest.watch`` runs.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._counts: dict[tuple[datetime, str, Route, bool, int], tuple[int, int]] = {}

    def add(self, model_id: str, route: Route, texts: int, seconds: float, failed: bool) -> None:
        """Count a request about so many texts that came to an end."""
        self._count((_minute(), model_id, route, failed, bucket(seconds)), 1, texts)

    def write(self, *, over: bool = False) -> None:
        """Write what was counted, or only the minutes that are ``over``. What cannot be written is kept for the next time."""
        now = _minute()
        with self._lock:
            keys = [key for key in self._counts if not over or key[0] < now]
            counts = {key: self._counts.pop(key) for key in keys}
        if not counts:
            return
        names = ("minute", "model_id", "route", "failed", "bucket", "requests", "texts")
        rows = [dict(zip(names, (*key, *sums), strict=True)) for key, sums in counts.items()]
        try:
            with self._store.writing() as session:
                insert(session, "served", pa.Table.from_pylist(rows))
        except Exception:
            for key, sums in counts.items():
                self._count(key, *sums)
            raise

    def _count(self, key: tuple[datetime, str, Route, bool, int], requests: int, texts: int) -> None:
        with self._lock:
            before = self._counts.get(key, (0, 0))
            self._counts[key] = before[0] + requests, before[1] + texts


def deployments(store: Store, name: str) -> dict[str, list[Period]]:
    """The deployments of each version of a name that was ever deployed, oldest first."""
    found: dict[str, list[Period]] = {}
    for event in reversed(models.history(store, name)):
        if event["kind"] != "status":
            continue
        periods, at = found.setdefault(event["model_id"], []), event["occurred_at"]
        if event["value"] == "deployed":
            periods.append(Period(at, None))
        elif periods and periods[-1].until is None:
            periods[-1] = Period(periods[-1].since, at)
    return {model_id: periods for model_id, periods in found.items() if periods}


def of(store: Store, model_id: str, unit: Unit | None = None) -> Production:
    """A model in production, in windows of a ``unit``. Raises ModelError when there is no model of that id."""
    model = models.get(store, model_id)
    periods = deployments(store, model.name).get(model_id, [])
    since = periods[0].since if periods else datetime.now(UTC)
    counts = store.table(
        """SELECT date_trunc('hour', minute) AS at, route, failed, bucket, sum(requests)::BIGINT AS requests,
                  sum(texts)::BIGINT AS texts
           FROM served WHERE model_id = ? GROUP BY ALL ORDER BY ALL""",
        model_id,
    )
    found = HeldOut.of(unseen(models.predictions(store, model_id, SPLITS, since=since)))
    return production(periods, counts, found, model.figures, unit)


def asked(store: Store) -> frozenset[str]:
    """The models that had a request."""
    return frozenset(model_id for (model_id,) in store.rows("SELECT DISTINCT model_id FROM served"))


def _minute() -> datetime:
    return datetime.now(UTC).replace(second=0, microsecond=0)
