"""Judgements in long form and the history of annotations, against what was put in; the real UKP annotations, and their speed."""

import csv
import io
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from core.importing import read_judgements
from core.judging import Verdict
from core.queueing import Lease
from core.ranking import Comparisons, rank
from core.records import Judgement, Pair, Parsed, Prompt, Response
from core.surface import STYLE, style
from core.timeline import timeline
from storage import campaigns, history, pairs, people
from storage.desk import Desks
from storage.history import Filter
from storage.judgements import listed, style_differences
from storage.store import Store
from storage.tables import CampaignRow
from tests.storage.conftest import MakeCampaign, MakePairs
from tests.ukp import ukp_rows

START = datetime(2026, 3, 1, 10, tzinfo=UTC)
LONG = "# Title\n\n- one\n- two\n\n**bold** and `code`"


def put(store: Store, desks: Desks, *judgements: Judgement, campaign: CampaignRow | None = None) -> None:
    campaign_id = (campaign or campaigns.first(store)).id
    pairs.add_judged(store, desks, Parsed(list(enumerate(judgements, 1)), []), campaign_id, "ann", source="x")


def rows(store: Store, **narrowed: object) -> list[dict[str, object]]:
    found: list[dict[str, object]] = listed(store, **narrowed).to_pylist()  # type: ignore[arg-type]
    return found


def test_a_judgement_comes_with_what_it_is_about(store: Store, desks: Desks) -> None:
    pair = Pair(Prompt.from_text("Why?", "math"), Response("Because.", "m1"), Response(LONG, "m2"))
    bare = Pair(Prompt.from_text("How?", "coding"), Response("So."), Response("Thus.", "  "))
    put(
        store, desks,
        Judgement(pair, "ann", "b", submitted_at=START), Judgement(bare, "bob", "tie", submitted_at=START - timedelta(1)),
        Judgement(pair, "cat", "skip", submitted_at=START),
    )  # fmt: skip
    first, second = rows(store)
    told = ("choice", "left", "annotator", "category", "model_a", "model_b", "length_a", "length_b", "first")
    assert [first[name] for name in told] == ["tie", None, "bob", "coding", None, None, 3, 5, True]
    assert [second[name] for name in told] == ["b", None, "ann", "math", "m1", "m2", 8, len(LONG), True]
    assert second["submitted_at"] == START
    assert first["pair"] != second["pair"] and first["prompt"] != second["prompt"]
    assert [row["annotator"] for row in rows(store, category="math")] == ["ann"]
    assert rows(store, kinds=("simulated",)) == []
    assert len(rows(store, campaign_id=campaigns.first(store).id)) == 2
    assert rows(store, campaign_id="c_none") == []

    place = np.array([second["pair"], first["pair"], second["pair"]])
    found = style_differences(store, place)
    assert found.shape == (3, len(STYLE))
    assert found[0] == pytest.approx(np.subtract(style("Because."), style(LONG)))
    assert (found[0] == found[2]).all() and found[1] == pytest.approx(
        np.subtract(style("So."), style("Thus."))
    )
    assert style_differences(store, place[:0]).shape == (0, len(STYLE))


def test_models_at_two_temperatures_can_be_told_apart(store: Store, desks: Desks) -> None:
    cool, warm = (Response(f"At {t}", "m1", {"temperature": t}) for t in (0.2, 1.0))
    put(store, desks, Judgement(Pair(Prompt.from_text("Why?"), cool, warm), "ann", "a", submitted_at=START))
    (together,), (apart,) = rows(store), rows(store, settings=True)
    assert (together["model_a"], together["model_b"]) == ("m1", "m1")
    assert (apart["model_a"], apart["model_b"]) == ("m1 · temperature 0.2", "m1 · temperature 1.0")


def test_repeats_sides_and_what_was_changed(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    """Judged at the desk, some pairs twice; one judgement is changed."""
    campaign = make_campaign(40, k=1, repeat_share=0.5)
    desk, person, clock = desks[campaign.id], people.annotator(store, "Ann").id, datetime.now(UTC)
    met: Counter[str] = Counter()
    expected = {}
    while isinstance(lease := desk.next(person, clock), Lease):
        clock += timedelta(seconds=1)
        met[lease.pair_id] += 1
        row = desk.submit(person, lease.pair_id, Verdict("a"), clock, source="person", lease_id=lease.id)
        expected[row.id] = (met[lease.pair_id] == 1, row.left_id)
        if len(expected) > 60:
            break
    changed = desk.edit(person, row.id, Verdict("b"), clock, source="person")
    expected[changed.id] = expected.pop(row.id)
    assert max(met.values()) == 2
    found = {str(row["id"]): row for row in rows(store)}
    assert found.keys() == expected.keys()
    cards = {row[0]: row[1:] for row in store.rows("SELECT annotation.id, response_a, response_b FROM annotation JOIN pair ON pair.id = pair_id")}  # fmt: skip
    for key, (first, left) in expected.items():
        assert found[key]["first"] == first
        assert found[key]["left"] == ("a" if left == cards[key][0] else "b")
    assert found[changed.id]["choice"] == "b"


def test_two_annotators_of_one_name_stay_two(store: Store, desks: Desks, make_pairs: MakePairs) -> None:
    one, other = make_pairs(2)
    put(store, desks, Judgement(one, "ann", "a"), Judgement(other, "bob", "b"))
    with store.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE annotator SET name = 'Sam'")
    table = listed(store)
    assert table["annotator"].to_pylist() == ["Sam", "Sam"]
    assert timeline(table, "count", "annotator").names == ["Sam", "Sam"]
    assert sorted(Comparisons.of(table).annotator) == [0, 1]


def test_the_history_is_searched_by_every_field(store: Store, desks: Desks, make_campaign: MakeCampaign, make_pairs: MakePairs) -> None:  # fmt: skip
    here = campaigns.first(store).id
    other = make_campaign(0, k=3)
    one, two, three = make_pairs(3)
    put(
        store, desks,
        Judgement(one, "ann", "a", reason="Clearer, 100%", submitted_at=START),
        Judgement(two, "bob", "tie", submitted_at=START + timedelta(days=1)), Judgement(three, "bob", "skip", submitted_at=START + timedelta(days=2)),
    )  # fmt: skip
    put(store, desks, Judgement(one, "cat", "b", submitted_at=START + timedelta(days=3)), campaign=other)
    everything, total = history.page(store, Filter())
    assert [row["annotator"] for row in everything] == ["cat", "bob", "bob", "ann"] and total == 4
    assert everything[0]["campaign"] == other.name and everything[3]["prompt"] == one.prompt.text
    bob = next(i for i, name, *_ in people.annotators(store) if name == "bob")
    for wanted, names in (
        (Filter(here), ["bob", "bob", "ann"]), (Filter(choice="skip"), ["bob"]), (Filter(choice="b"), ["cat"]),
        (Filter(annotator_id=bob), ["bob", "bob"]), (Filter(search="CLEARER, 100%"), ["ann"]), (Filter(search=" question 1? "), ["bob"]),
        (Filter(first=date(2026, 3, 2), last=date(2026, 3, 3)), ["bob", "bob"]), (Filter(last=date(2026, 3, 1)), ["ann"]),
        (Filter(category="no such"), []), (Filter(search="'; DROP TABLE pair; --"), []),
    ):  # fmt: skip
        found, n = history.page(store, wanted)
        assert ([row["annotator"] for row in found], n) == (names, len(names)), wanted
        told = list(csv.DictReader(io.StringIO(history.to_csv(store, wanted).decode())))
        assert [row["annotator"] for row in told] == names
    page, n = history.page(store, Filter(), offset=1, limit=2)
    assert ([row["annotator"] for row in page], n) == (["bob", "bob"], 4)
    ids = [str(everything[3]["id"]), str(everything[0]["id"])]
    assert [row["annotator"] for row in history.of(store, ids)] == ["cat", "ann"]


@pytest.fixture(scope="module")
def project(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The UKP annotations; the arguments are given to seven models by their number."""
    told = [
        (n, {**row, **{f"model_{side}": f"model {len(str(row[f'response_{side}'])) % 7}" for side in "ab"}})
        for n, row in ukp_rows(shared_data)
    ]
    store = Store(f"duckdb:///{tmp_path_factory.mktemp('ukp') / 'attune.duckdb'}")
    pairs.add_judged(store, Desks(store), read_judgements(told), campaigns.first(store).id, "t", source="UKP")
    yield store
    store.close()


def test_ukp_is_read_whole_and_quickly(project: Store, shared_data: Path) -> None:
    started = time.process_time()
    table = listed(project)
    found = Comparisons.of(table)
    found = found.with_style(style_differences(project, found.pair))
    ranking = rank(found, control=True)
    over_time = timeline(table, "longer")
    over_time.shares([0])
    seconds = time.process_time() - started
    assert len(table) == 67_129 and len(found) + found.left_out["same_model"] == 67_129
    assert len(ranking.ranked) == 7
    assert seconds < 4

    rows = ukp_rows(shared_data)
    weeks: dict[str, list[float]] = defaultdict(list)
    for _, row in rows:
        a, b = len(str(row["response_a"])), len(str(row["response_b"]))
        if row["choice"] in ("a", "b") and a != b:
            day = datetime.fromisoformat(str(row["submitted_at"])).astimezone(UTC).date()
            weeks[str(day - timedelta(days=day.weekday()))].append(float((row["choice"] == "a") == (a > b)))
    assert [str(day) for day in over_time.starts] == sorted(weeks)
    for e, day in zip(over_time.shares([0])[0], sorted(weeks), strict=True):
        assert (e.value, e.n) == (pytest.approx(np.mean(weeks[day])), len(weeks[day]))
    assert ranking.style["characters (log)"].low > 0.4


def test_ukp_history(project: Store) -> None:
    started = time.process_time()
    page, total = history.page(project, Filter(search="evolution"))
    assert 0 < total == len(page) < 50 and time.process_time() - started < 3
    assert all("evolution" in (row["prompt"] + row["reason"]).lower() for row in page)
