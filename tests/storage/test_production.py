"""What models were asked, written in batches, their deployments, and the votes cast since, on a real store."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from core.records import Judgement, Parsed
from storage import campaigns, models, pairs, production
from storage.desk import Desks
from storage.production import Served
from storage.store import Store, StoreError
from storage.tables import ModelRow, ProbeRow
from tests.storage.conftest import MakePairs

ROW = "SELECT minute, model_id, route, failed, requests, texts FROM served ORDER BY ALL"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[datetime]]:
    """The minute that it is: the last of the list."""
    minutes = [datetime(2026, 3, 2, 9, 30, tzinfo=UTC)]
    monkeypatch.setattr(production, "_minute", lambda: minutes[-1])
    yield minutes


def register(store: Store, name: str = "votes") -> models.Model:
    row = ModelRow(id="", name=name, version="", method="sbert", path="x", actor="ann", checksum="0")
    return models.register(store, row)


def test_a_minute_is_written_when_it_is_over_and_the_rest_when_asked(
    store: Store, clock: list[datetime]
) -> None:
    served, before = Served(store), store.revision
    for texts, seconds in ((10, 0.1), (5, 0.1), (1, 0.9)):
        served.add("m1", "score", texts, seconds, False)
    served.add("m1", "score", 2, 0.1, True)
    served.write(over=True)
    assert store.revision == before, "nothing is computed anew while the minute lasts"
    clock.append(clock[0] + timedelta(minutes=1))
    served.add("m2", "page", 3, 0.1, False)
    served.write(over=True)
    first = [(clock[0], "m1", "score", False, 1, 1), (clock[0], "m1", "score", False, 2, 15), (clock[0], "m1", "score", True, 1, 2)]  # fmt: skip
    assert store.rows(ROW) == first and store.revision == before + 1
    served.write()
    served.write()
    assert store.rows(ROW) == [*first, (clock[1], "m2", "page", False, 1, 3)]
    assert store.revision == before + 2 and production.asked(store) == {"m1", "m2"}


def test_nothing_is_lost_between_threads_that_add_and_write(store: Store) -> None:
    served, stop = Served(store), threading.Event()
    with ThreadPoolExecutor(5) as pool:
        writing = pool.submit(lambda: [served.write() for _ in iter(stop.is_set, True)])
        adding = [pool.submit(lambda: [served.add("m", "score", 2, 0.01, False) for _ in range(500)]) for _ in range(4)]  # fmt: skip
        for one in adding:
            one.result()
        stop.set()
        writing.result()
    served.write()
    assert store.rows("SELECT sum(requests), sum(texts) FROM served") == [(2000, 4000)]


def test_what_cannot_be_written_is_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    served = Served(store)
    served.add("m", "score", 2, 0.01, False)

    def full(*_: object) -> int:
        raise StoreError("The disk is full.")

    with monkeypatch.context() as disk:
        disk.setattr(production, "insert", full)
        with pytest.raises(StoreError):
            served.write()
    served.add("m", "score", 3, 0.01, False)
    served.write()
    assert store.rows("SELECT sum(requests), sum(texts) FROM served") == [(2, 5)]


def test_deployments_follow_the_history(store: Store) -> None:
    one, two, three = (register(store) for _ in range(3))
    models.set_alias(store, three.id, "champion", "ann")
    models.deploy(store, one.id, "ann")
    models.deploy(store, two.id, "ann")
    models.roll_back(store, "votes", "ann")
    found = production.deployments(store, "votes")
    assert found.keys() == {one.id, two.id}
    (first, again), (other,) = found[one.id], found[two.id]
    assert first.until is not None and other.until is not None and again.until is None
    assert first.since < first.until <= other.since < other.until <= again.since


def test_quality_is_by_the_votes_cast_since_the_first_deployment(
    store: Store, desks: Desks, make_pairs: MakePairs
) -> None:
    """Three pairs that people first said b of; of two of them, one a training pair, people say a after the deployment."""
    made = make_pairs(3)

    def vote(pair: object, who: str, choice: str, days: int) -> None:
        at = datetime.now(UTC) + timedelta(days=days)
        row = Judgement(pair, who, choice, submitted_at=at)  # type: ignore[arg-type]
        parsed = Parsed([(1, row)], [])
        report = pairs.add_judged(store, desks, parsed, campaigns.first(store).id, "ann", source="x")
        assert report.annotations == 1

    for pair in made:
        vote(pair, "u1", "b", -3)
    model = register(store)
    ids = [pair.id for pair in made]
    said = {"raw": [2.0] * 3, "probability": [0.9] * 3, "target": [0.0] * 3}
    with store.writing() as session:
        models.add_predictions(session, model.id, pa.table({"pair_id": ids, "split": ["test", "test", "train"], **said}))  # fmt: skip
    assert production.of(store, model.id).pairs == 0, "it was never deployed"
    models.deploy(store, model.id, "ann")
    models.add_probe(store, ProbeRow(id="p", model_id=model.id, actor="ann"), pa.table({"pair_id": ids[1:2], **{k: v[:1] for k, v in said.items()}}))  # fmt: skip
    assert production.of(store, model.id).pairs == 0, "all votes are older"
    with store.writing() as session:
        session.connection().exec_driver_sql("UPDATE model_event SET occurred_at = occurred_at - INTERVAL 1 DAY")  # fmt: skip
    for pair in (made[0], made[2]):
        vote(pair, "u2", "a", 0)
    found = production.of(store, model.id, "day")
    assert found.pairs == 1 and found.quality.accuracy.value == 1.0
    assert models.predictions(store, model.id)["now"].to_pylist()[0] in (0.5, 0.0), "all votes are split"
    assert [window.quality.accuracy.n for window in found.windows] == [1]


def test_requests_of_an_hour_count_together(store: Store, clock: list[datetime]) -> None:
    model, served = register(store), Served(store)
    for minutes in (0, 5, 45):
        clock.append(datetime(2026, 3, 2, 9, 30, tzinfo=UTC) + timedelta(minutes=minutes))
        served.add(model.id, "score", 4, 0.1, False)
        served.add("another", "score", 4, 0.1, False)
    served.write()
    found = production.of(store, model.id, "hour")
    assert [(w.start.hour, w.service.requests) for w in found.windows] == [(9, 2), (10, 1)]
    assert (found.service.requests, found.service.texts) == (3, 12)
    with pytest.raises(models.ModelError, match="no model with the id"):
        production.of(store, "m_no")
