"""Two windows frozen from a store whose content is known, and runs kept and found again."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest

from core.importing import read_judgements
from core.labels import Policy
from core.populations import SCHEMA, Window
from storage import campaigns, drift, learning, models, pairs
from storage.desk import Desks
from storage.drift import Scope
from storage.store import Store
from storage.tables import DriftRow, ModelRow

MONDAY = datetime(2026, 3, 2, 9, tzinfo=UTC)
WEEKS = Window(date(2026, 3, 2), date(2026, 3, 8)), Window(date(2026, 3, 9), date(2026, 3, 15))


def judge(store: Store, desks: Desks, *judged: tuple[int, str, str, int]) -> str:
    """Judgements (pair, annotator, choice, days after Monday); every two pairs share a prompt."""
    rows: list[dict[str, object]] = [
        {
            "prompt": f"question {pair // 2}",
            "response_a": f"first of {pair}",
            "response_b": f"second of {pair}",
            "annotator": who,
            "choice": choice,
            "category": "math" if pair < 4 else "coding",
            "submitted_at": (MONDAY + timedelta(days=day)).isoformat(),
        }
        for pair, who, choice, day in judged
    ]
    campaign = campaigns.first(store).id
    pairs.add_judged(
        store, desks, read_judgements(list(enumerate(rows, start=1))), campaign, "test", source="test"
    )
    return campaign


def frozen(store: Store, **scope: Any) -> list[dict[str, Any]]:
    found = drift.freeze(store, Scope(**scope), WEEKS, Policy())
    assert found.table.schema == SCHEMA
    return found.table.to_pylist()


@pytest.fixture
def judged(store: Store, desks: Desks) -> str:
    return judge(
        store, desks,
        (0, "ann", "a", 0), (0, "bob", "a", 1), (0, "cid", "b", 8),
        (1, "ann", "tie", 6), (2, "ann", "b", 7), (2, "bob", "a", 7),
        (4, "ann", "both_bad", 13), (5, "ann", "a", 14), (6, "ann", "a", -1),
    )  # fmt: skip


def test_pairs_are_in_the_windows_in_which_they_were_judged(store: Store, judged: str) -> None:
    rows = frozen(store)
    told = [(row["texts"][1].split()[-1], row["after"], row["label"], row["target"]) for row in rows]
    assert told == [
        ("0", False, "a", pytest.approx(2 / 3)),
        ("1", False, "tie", 0.5),
        ("2", True, "split", 0.5),
        ("0", True, "b", pytest.approx(2 / 3)),
        ("4", True, "both_bad", None),
    ], "the last moments of a Sunday are in; the next Monday and the day before the first are not"
    assert rows[0]["texts"] == ["question 0", "first of 0", "second of 0"]
    assert rows[0]["at"] == MONDAY and rows[0]["pair_id"] == rows[0]["id"] == rows[3]["id"]
    assert {row["group"] for row in rows} == {None}, "three prompts are too few to tell prompts apart"


def test_prompts_and_answers_stand_once_in_a_window(store: Store, judged: str) -> None:
    assert [(row["texts"], row["after"]) for row in frozen(store, population="prompts")] == [
        (["question 0"], False), (["question 1"], True), (["question 0"], True), (["question 2"], True),
    ]  # fmt: skip
    answers = frozen(store, population="answers")
    assert len(answers) == 10 and answers[0]["texts"] == ["first of 0"] and answers[0]["probability"] is None


def test_a_run_is_narrowed_to_a_category_a_campaign_and_people(
    store: Store, desks: Desks, judged: str
) -> None:
    assert len(frozen(store, category="coding")) == 1
    assert len(frozen(store, campaign_id=judged)) == 5 and not frozen(store, campaign_id="other")
    with store.writing() as session:
        session.connection().exec_driver_sql("UPDATE annotator SET kind = 'simulated' WHERE name = 'cid'")
    assert len(frozen(store)) == 4 and len(frozen(store, simulated=True)) == 5


def test_where_there_are_prompts_enough_those_of_one_are_alike(store: Store, desks: Desks) -> None:
    judge(store, desks, *[(i, "ann", "a", 0 if i < 100 else 7) for i in range(200)])
    rows = frozen(store)
    alike = {tuple(row["texts"][:1]): row["group"] for row in rows}
    assert len(rows) == 200 and len(alike) == len({row["group"] for row in rows}) == 100
    assert drift.freeze(store, Scope(population="answers"), WEEKS, Policy()).grouped == "prompt"


def test_by_the_day_they_were_added_all_are_of_today(store: Store, judged: str) -> None:
    today = datetime.now(UTC).date()
    assert drift.days(store, Scope(by="added")) == [(today, 6)]
    assert not frozen(store, by="added")
    assert drift.days(store, Scope())[:2] == [(date(2026, 3, 1), 1), (date(2026, 3, 2), 1)]


def predicted(store: Store, **by_split: dict[int, float]) -> str:
    """A model with predictions of pairs, by split."""
    ids = {
        text.split()[-1]: key
        for key, text in store.rows("SELECT pair.id, text FROM pair JOIN response r ON r.id = response_a")
    }
    said = [(ids[str(pair)], split, p) for split, of in by_split.items() for pair, p in of.items()]
    key, split, p = zip(*said, strict=True)
    table = pa.table(
        {"pair_id": key, "split": split, "raw": [0.0] * len(p), "probability": p, "target": [None] * len(p)}
    )
    row = ModelRow(
        id="", name="m", version="", method="sbert", path="x", actor="t", checksum="c", created_at=MONDAY
    )
    return models.register(store, row, table).id


def test_a_models_errors_are_those_on_pairs_it_had_not_seen(store: Store, judged: str) -> None:
    first = predicted(store, test={0: 0.2, 2: 0.9}, train={1: 0.9, 4: 0.1})
    second = predicted(store, calibration={0: 0.7})
    rows = frozen(store, model_id=first, other_id=second)
    assert [row["probability"] for row in rows] == [0.2, None, 0.9, 0.2, None]
    assert [row["other"] for row in rows] == [0.7, None, None, 0.7, None], (
        "one calibrated anew has no test split"
    )
    errors = frozen(store, population="errors", model_id=first)
    assert [(row["texts"][1], row["after"]) for row in errors] == [
        ("first of 0", False),
        ("first of 0", True),
    ]


@pytest.mark.parametrize(
    ("scope", "windows", "said"),
    [
        (Scope(population="errors"), WEEKS, "choose one"),
        (Scope(), (WEEKS[1], WEEKS[0]), "overlap: the second must begin after 2026-03-15"),
        (Scope(), (WEEKS[0], WEEKS[0]), "overlap"),
        (Scope(), (Window(date(2026, 3, 8), date(2026, 3, 2)), WEEKS[1]), "ends before it begins"),
    ],
)
def test_windows_that_cannot_be_are_refused(store: Store, scope: Scope, windows: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        drift.freeze(store, scope, windows, Policy())


def run(name: str, **told: Any) -> DriftRow:
    usual = {
        "population": "pairs",
        "view": "semantic",
        "grouped": "text",
        "actor": "ann",
        "figures": {"alerts": [], "next": 1},
    }
    return DriftRow(**{"id": name, **usual, **told}, created_at=MONDAY)


def test_a_run_is_kept_whole_and_once(store: Store) -> None:
    points = pa.table(
        {"id": ["x", "y"], "after": [False, True], "seen_at": pa.array([MONDAY, None], pa.timestamp("us", "UTC")), "x": [0.5, 1.0], "y": [0.0, 2.0],
         "cluster": pa.array([0, -1], pa.int32()), "error": [1.0, None], "gap": [None, None], "flip": [0.0, 1.0], "pair_id": ["p", None],
         "topic": ["left out", None]}
    )  # fmt: skip
    clusters = pa.table(
        {
            "cluster": [0],
            "name": ["cats · dogs"],
            "n": [1],
            "x": [0.5],
            "y": [0.0],
            "centroid": [[0.25, -1.0]],
        }
    )
    for _ in range(2):
        drift.register(store, run("first", model_id="m"), points, clusters)
    drift.register(store, run("second", population="prompts"), points, clusters)
    assert [row.id for row in drift.listed(store)] == ["second", "first"]
    found = drift.latest(store, Scope(), "semantic")
    assert found is not None and found.id == "first" and found.created_at > MONDAY
    assert (
        drift.latest(store, Scope(), "tfidf") is None
        and drift.latest(store, Scope(campaign_id="c"), "semantic") is None
    )
    assert drift.points(store, "first").to_pylist()[0] == {**points.drop_columns("topic").to_pylist()[0]}
    assert drift.clusters(store, "first").to_pylist() == clusters.to_pylist()
    assert learning.clusters(store, ["q", "p"], "m") == ["", "0 · cats · dogs"]
    assert learning.clusters(store, ["p"], "another") == [""]
    assert store.rows("SELECT count(*) FROM audit WHERE record_type = 'drift'") == [(2,)]
    with pytest.raises(KeyError):
        drift.register(store, run("third"), points.drop_columns("x"), clusters)
    assert len(drift.listed(store)) == 2
