"""Importing pairs: with and without labels, twice, swapped, half broken, and real data whole."""

import gzip
import json
from collections import Counter
from pathlib import Path
from typing import Any

import duckdb
import krippendorff
import numpy as np
import pytest

from core.agreement import agreement_report, krippendorff_alpha
from core.consensus import accuracy, dawid_skene, majority
from core.importing import read_judgements, read_pairs
from core.reading import read_rows
from core.records import CHOICES, Judgement, Pair, Parsed, Prompt, Response
from storage import annotations, campaigns, pairs, prompts
from storage.desk import Desks
from storage.store import Store
from storage.tables import CampaignRow
from tests.storage.conftest import MakePairs, parsed
from tests.ukp import ukp_rows

TABLES = ("prompt", "response", "pair", "campaign_pair", "annotator", "annotation", "audit")


def counts(store: Store) -> dict[str, int]:
    return {table: store.rows(f"SELECT count(*) FROM {table}")[0][0] for table in TABLES}


def pair(a: str, b: str, name: str | None = None, label: Any = None, prompt: str = "Why?") -> Pair:
    return Pair(Prompt.from_text(prompt), Response(a), Response(b), name, label)


@pytest.fixture
def main(store: Store) -> str:
    return campaigns.first(store).id


def add(store: Store, desks: Desks, campaign: str, *rows: Pair, labels: Any = "none", source: str = "file") -> prompts.Report:  # fmt: skip
    return pairs.add(store, desks, parsed(list(rows)), campaign, "ann", source=source, labels=labels)


def choices(store: Store) -> list[tuple[str, str, str]]:
    """(text of the response preferred or the verdict, annotator, choice) of what stands."""
    return store.rows(
        """SELECT coalesce(response.text, verdict), annotator.name, choice FROM current_annotation v
           LEFT JOIN response ON response.id = preferred_id JOIN annotator ON annotator.id = annotator_id ORDER BY ALL"""
    )


def test_unlabelled_pairs_enter_once(store: Store, desks: Desks, main: str, make_pairs: MakePairs) -> None:
    rows = make_pairs(5)
    report = add(store, desks, main, *rows, rows[0])
    assert (report.added, report.duplicates, report.refused, report.annotations) == (5, [6], [], 0)
    before = counts(store)
    assert before | {"audit": 0} == {"prompt": 5, "response": 10, "pair": 5, "campaign_pair": 5, "annotator": 0, "annotation": 0, "audit": 0}  # fmt: skip
    again = add(store, desks, main, *rows)
    assert (again.added, again.duplicates) == (0, [1, 2, 3, 4, 5])
    assert counts(store) == before | {"audit": before["audit"] + 1}


def test_a_pair_of_one_campaign_may_enter_another(
    store: Store, desks: Desks, main: str, make_pairs: MakePairs
) -> None:
    other = campaigns.create(store, CampaignRow(id="", name="Other"), "ann").id
    add(store, desks, main, *make_pairs(3))
    assert add(store, desks, other, *make_pairs(2)).added == 0
    assert store.rows("SELECT count(*) FROM campaign_pair WHERE campaign_id = ?", other) == [(2,)]
    assert pairs.page(store, campaign_id=other)[1] == 2 and pairs.page(store)[1] == 3


def test_labels_become_annotations_of_the_source(store: Store, desks: Desks, main: str) -> None:
    rows = [pair("one", "two", label="b"), pair("yes", "no", label="tie"), pair("x", "y")]
    report = add(store, desks, main, *rows, rows[0], labels="annotations", source="team.csv")
    assert (report.added, report.annotations, report.annotators, report.duplicates) == (3, 2, 1, [4])
    assert choices(store) == [("tie", "team.csv", "tie"), ("two", "team.csv", "b")]
    assert store.rows("SELECT name, kind FROM annotator") == [("team.csv", "imported")]
    assert add(store, desks, main, *rows, labels="annotations", source="team.csv").annotations == 0
    assert len(choices(store)) == 2


def test_labels_of_pairs_that_are_there_already_are_taken_with_the_answers_in_either_order(
    store: Store, desks: Desks, main: str
) -> None:
    add(store, desks, main, pair("one", "two"), pair("yes", "no", "named"))
    turned = [pair("two", "one", label="a"), pair("no", "yes", "named", label="b")]
    report = add(store, desks, main, *turned, labels="annotations")
    assert (report.added, report.duplicates, report.annotations) == (0, [1, 2], 2)
    assert choices(store) == [("two", "file", "b"), ("yes", "file", "a")]


def test_gold_labels_stay_with_the_pair(store: Store, desks: Desks, main: str) -> None:
    add(store, desks, main, pair("one", "two", label="b"), pair("x", "y"), labels="gold")
    assert store.rows("SELECT gold FROM pair ORDER BY gold") == [("b",), (None,)]
    assert counts(store)["annotation"] == 0
    shown, _ = pairs.page(store, search="Why?")
    assert {row["gold"] for row in shown} == {"b", None}
    again = add(store, desks, main, pair("y", "x", label="a"), labels="gold")
    assert (again.added, again.duplicates) == (0, [1])
    assert store.rows("SELECT text FROM response WHERE id IN (SELECT CASE gold WHEN 'a' THEN response_a "
                      "ELSE response_b END FROM pair) ORDER BY text") == [("two",), ("y",)]  # fmt: skip


def test_an_external_id_with_other_texts_is_refused(store: Store, desks: Desks, main: str) -> None:
    add(store, desks, main, pair("one", "two", "p1"))
    report = add(
        store, desks, main, pair("one", "three", "p1"), pair("four", "five", "p2"), pair("two", "one", "p1")
    )
    assert (report.added, report.duplicates) == (1, [3])
    (refusal,) = report.refused
    assert (refusal.row, refusal.field) == (1, "pair_id") and "'p1'" in refusal.reason
    assert sorted(t for (t,) in store.rows("SELECT text FROM response")) == ["five", "four", "one", "two"]


def test_equal_texts_under_two_names_are_two_pairs(store: Store, desks: Desks, main: str) -> None:
    assert add(store, desks, main, pair("one", "two", "p1"), pair("one", "two", "p2")).added == 2
    assert counts(store) | {"audit": 0} == counts(store) | {"audit": 0, "pair": 2, "response": 2, "prompt": 1}


def test_an_import_that_fails_leaves_nothing(
    store: Store, desks: Desks, main: str, make_pairs: MakePairs
) -> None:
    """A confidence that no INTEGER column holds comes last, after prompts, responses, pairs and annotators."""
    before = counts(store)
    one, two = make_pairs(2)
    rows = [(1, Judgement(one, "ann", "a")), (2, Judgement(two, "bob", "b", seconds=1.0, confidence=2**40))]
    with pytest.raises((duckdb.Error, ValueError, OverflowError)):
        pairs.add_judged(store, desks, Parsed(rows, []), main, "ann", source="file")
    assert counts(store) == before
    rows[1] = (2, Judgement(two, "bob", "b", seconds=1.0, confidence=2))
    assert pairs.add_judged(store, desks, Parsed(rows, []), main, "ann", source="file").annotations == 2


def test_a_constraint_that_breaks_in_the_middle_leaves_nothing(store: Store, desks: Desks, main: str, make_pairs: MakePairs) -> None:  # fmt: skip
    with store.engine.begin() as connection:
        connection.exec_driver_sql("CREATE UNIQUE INDEX one_pair_a_prompt ON pair (prompt_id)")
    before = counts(store)
    with pytest.raises(duckdb.ConstraintException, match=r"(?i)unique"):
        add(store, desks, main, *make_pairs(3), pair("one", "two", "p1"), pair("one", "two", "p2"))
    assert counts(store) == before
    assert add(store, desks, main, *make_pairs(3)).added == 3


def test_a_file_of_which_nothing_enters(store: Store, desks: Desks, main: str) -> None:
    rows = read_pairs([(1, {"chosen": "x", "rejected": "x"})], "trl")
    report = pairs.add(store, desks, rows, main, "ann", source="file", labels="annotations")
    assert (report.added, len(report.refused), report.rows) == (0, 1, 1)
    assert counts(store)["pair"] == 0


def test_judgements_in_another_order_or_turned_are_the_same_judgements(
    store: Store, desks: Desks, main: str
) -> None:
    columns = ["prompt", "response_a", "response_b", "annotator", "choice"]

    def load(*lines: str) -> prompts.Report:
        rows = [(n, dict(zip(columns, line.split(), strict=True))) for n, line in enumerate(lines, start=1)]
        return pairs.add_judged(store, desks, read_judgements(rows), main, "ann", source="file")

    first = load(
        "q one two ann a", "q one two bob b", "q one two ann b", "q one two cleo tie", "q one two ann a"
    )
    assert (first.added, first.annotations, first.annotators, first.duplicates) == (1, 5, 3, [])
    stands = choices(store)
    second = load(
        "q two one ann a", "q one two cleo tie", "q two one ann b", "q two one ann b", "q one two bob b"
    )
    assert (second.added, second.annotations, second.duplicates) == (0, 0, [1, 2, 3, 4, 5])
    assert choices(store) == stands
    assert load("q two one bob b").annotations == 1
    assert Counter(choice for _, name, choice in choices(store) if name == "bob") == {"a": 1, "b": 1}


def test_judgements_of_a_pair_with_other_texts_are_refused_row_by_row(
    store: Store, desks: Desks, main: str
) -> None:
    add(store, desks, main, pair("one", "two", "p1"))
    rows = [
        (
            n,
            {
                "pair_id": name,
                "prompt": "Why?",
                "response_a": "one",
                "response_b": b,
                "annotator": f"u{n}",
                "choice": "a",
            },
        )
        for n, (name, b) in enumerate([("p1", "three"), ("p2", "two"), ("p1", "three")], start=1)
    ]
    report = pairs.add_judged(store, desks, read_judgements(rows), main, "ann", source="file")
    assert (report.added, report.annotations) == (1, 1)
    assert sorted(r.row for r in report.refused) == [1, 3]
    assert all("other texts" in r.reason for r in report.refused)


def test_of_identical_answers_too_it_counts_which_was_chosen(store: Store, desks: Desks, main: str) -> None:
    rows = [
        (
            n,
            {
                "prompt": "q",
                "response_a": "same",
                "response_b": "same",
                "annotator": f"u{n}",
                "choice": choice,
            },
        )
        for n, choice in enumerate(["a", "b", "b"], start=1)
    ]
    pairs.add_judged(store, desks, read_judgements(rows), main, "ann", source="file")
    assert [choice for _, _, choice in choices(store)] == ["a", "b", "b"]


def test_imported_judgements_count_towards_k(
    store: Store, desks: Desks, main: str, make_pairs: MakePairs
) -> None:
    rows = [(n, Judgement(p, f"u{n}", "a")) for n, p in enumerate(make_pairs(2) * 3, start=1)]
    pairs.add_judged(store, desks, Parsed(rows, []), main, "ann", source="file")
    progress = campaigns.progress(store, campaigns.get(store, main))
    assert (progress.done, progress.complete, progress.left) == (6, 2, 0)


def test_ukp_whole(
    store: Store, desks: Desks, main: str, shared_data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """13,458 pairs and 67,129 judgements of 3,788 annotators; what the store gives back is what the crowd said."""
    rows = ukp_rows(shared_data)
    judgements = read_judgements(rows)
    assert judgements.refused == []
    report = pairs.add_judged(store, desks, judgements, main, "ann", source="ukp_convarg1")
    assert (report.added, report.annotations, report.annotators) == (13_458, 67_129, 3_788)
    assert (report.duplicates, report.refused) == ([], [])

    ratings, strengths = annotations.ratings(store)
    assert (len(ratings.unit), len(ratings.units), len(ratings.raters)) == (67_129, 13_458, 3_788)
    assert len(strengths.unit) == 0, "nobody gave a strength"
    names = dict(store.rows("SELECT id, external_id FROM pair"))
    stored = {(names[ratings.units[u]], ratings.raters[r], CHOICES[c]) for u, r, c in zip(ratings.unit, ratings.rater, ratings.category, strict=True)}  # fmt: skip
    assert stored == {(row["pair_id"], row["annotator"], row["choice"]) for _, row in rows}

    table = np.zeros((len(ratings.units), 4), dtype=int)
    unit = {name: i for i, name in enumerate({str(row["pair_id"]) for _, row in rows})}
    for _, row in rows:
        table[unit[str(row["pair_id"])], CHOICES.index(row["choice"])] += 1  # type: ignore[arg-type]
    expected = krippendorff.alpha(value_counts=table, level_of_measurement="nominal")
    assert krippendorff_alpha(ratings).value == pytest.approx(expected, abs=1e-12)
    figures = agreement_report(ratings, strengths)
    assert all(
        e.value is not None
        for name, e in figures.items()
        if name != "self_consistency" and "ordinal" not in name and "confidence" not in name
    )

    with gzip.open(shared_data / "ukp_convarg1" / "pairs_all.jsonl.gz", "rb") as file:
        lines = [json.loads(line) for line in file.read().split(b"\n") if line]
    meaning = {"a1": "a", "a2": "b", "equal": "tie", None: None}
    gold = {line["pair_id"]: meaning[line["gold_label"]] for line in lines}
    wanted = [gold[names[unit]] for unit in ratings.units]
    with capsys.disabled():
        for consensus in (majority(ratings), dawid_skene(ratings)):
            found = accuracy(consensus, wanted)
            print(
                f"\nUKP: {type(consensus).__name__} agrees with gold_label on {found.value:.4f} of {found.n:,} pairs"
            )
            assert found.value is not None and found.value > 0.7 and found.n == 12_766

    again = pairs.add_judged(store, desks, judgements, main, "ann", source="ukp_convarg1")
    assert (again.added, again.annotations, len(again.duplicates)) == (0, 0, 67_129)


def test_hh_rlhf_as_published(store: Store, desks: Desks, main: str, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    files = sorted(p for p in (shared_data / "hh_rlhf_raw").rglob("*") if ".jsonl" in p.name)
    assert files
    entered, label_of = 0, dict[str, str]()
    for file in files:
        rows = read_rows(file.read_bytes(), file.name)
        found = read_pairs(rows.rows, "hh")
        assert len(found.rows) + len(found.refused) == len(rows.rows)
        assert all(refusal.reason for refusal in found.refused)
        report = pairs.add(store, desks, found, main, "ann", source=file.name, labels="annotations")
        assert report.rows == len(rows.rows)
        entered += report.added
        label_of |= {p.id: (p.response_a if p.label == "a" else p.response_b).text for _, p in found.rows}
        with capsys.disabled():
            why = Counter(refusal.reason for refusal in report.refused).most_common(3)
            print(f"\n{file.name}: {len(rows.rows)} rows, {report.added} pairs, {len(report.duplicates)} again, refused {why}")  # fmt: skip
    assert counts(store)["pair"] == entered == len(label_of)
    chosen = store.rows(
        "SELECT pair_id, text FROM current_annotation JOIN response ON response.id = preferred_id"
    )
    assert {p for p, _ in chosen} == set(label_of)
    assert label_of.items() <= set(chosen)


def test_paging_and_search(store: Store, desks: Desks, main: str, make_pairs: MakePairs) -> None:
    rows = [
        *make_pairs(30),
        Pair(Prompt.from_text("A 100% odd_one", "math"), Response("1"), Response("2"), "ext-1"),
    ]
    add(store, desks, main, *rows)
    seen = [row["id"] for offset in range(0, 40, 7) for row in pairs.page(store, offset=offset, limit=7)[0]]
    assert len(seen) == 31 and set(seen) == {p.id for p in rows}
    for search in ("100%", "ODD_ONE", "ext-1", rows[-1].id):
        shown, total = pairs.page(store, search=search)
        assert (total, shown[0]["external_id"]) == (1, "ext-1")
    assert pairs.page(store, category="math")[1] == 1
    assert pairs.page(store, search="' OR 1=1 --") == ([], 0)
