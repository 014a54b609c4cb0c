"""Preferences and ratings read from rows, and split by group."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.preferences import (
    FEW_GROUPS,
    HELD_OUT,
    PARTS,
    Preference,
    Ties,
    folds,
    is_rated,
    of_criterion,
    read_preferences,
    read_ratings,
    split,
    to_row,
)
from core.reading import FileError, Row, read_rows


def numbered(*rows: Row) -> list[tuple[int, Row]]:
    return list(enumerate(rows, start=1))


def share_of_chosen(preference: Preference, chosen: str) -> float:
    return preference.target if preference.response_a == chosen else 1 - preference.target


@pytest.mark.parametrize(
    ("votes", "ties", "target", "weight"),
    [
        ({}, "half", 1.0, 1.0),
        ({"votes_chosen": 4, "votes_rejected": 1}, "half", 0.8, 5.0),
        ({"votes_chosen": 3, "votes_rejected": 1, "votes_tie": 1}, "half", 0.7, 5.0),
        ({"votes_chosen": 3, "votes_rejected": 1, "votes_tie": 1}, "drop", 0.75, 4.0),
        ({"votes_chosen": "2", "votes_rejected": "2"}, "drop", 0.5, 4.0),
        ({"votes_tie": 3}, "half", 0.5, 3.0),
        ({"votes_chosen": 4, "votes_rejected": 1, "weight": 2.5}, "half", 0.8, 2.5),
    ],
)
def test_votes_become_a_target_and_a_weight(votes: Row, ties: Ties, target: float, weight: float) -> None:
    parsed = read_preferences(numbered({"prompt": "p", "chosen": "yes", "rejected": "no", **votes}), ties)
    ((_, preference),) = parsed.rows
    assert share_of_chosen(preference, "yes") == pytest.approx(target)
    assert preference.weight == weight


@pytest.mark.parametrize(
    ("row", "field", "reason"),
    [
        ({"chosen": "same", "rejected": "same "}, None, "identical"),
        ({"chosen": "a", "rejected": "b", "votes_tie": 2}, None, "ties"),
        ({"chosen": "a", "rejected": "b", "votes_chosen": 0, "votes_rejected": 0}, None, "no votes"),
        ({"chosen": "a", "rejected": "b", "votes_chosen": -1}, "votes_chosen", "0 or more"),
        ({"chosen": "a", "rejected": "b", "votes_chosen": "many"}, "votes_chosen", "0 or more"),
        ({"chosen": "a", "rejected": "b", "weight": float("nan")}, "weight", "is needed"),
        ({"chosen": "a", "rejected": "b", "weight": 0}, "weight", "above 0"),
        ({"chosen": "a", "rejected": None}, "rejected", "missing"),
    ],
)
def test_a_row_that_teaches_nothing_is_refused_and_the_rest_goes_on(
    row: Row, field: str | None, reason: str
) -> None:
    good: Row = {"prompt": "p", "chosen": "yes", "rejected": "no"}
    parsed = read_preferences(numbered({"prompt": "p", **row}, good), "drop")
    assert [number for number, _ in parsed.rows] == [2]
    (refusal,) = parsed.refused
    assert (refusal.row, refusal.field) == (1, field) and reason in refusal.reason


def test_rows_with_two_responses_and_a_target() -> None:
    row: Row = {
        "pair_id": "x",
        "prompt": "p",
        "response_a": "one",
        "response_b": "two",
        "target": 0.25,
        "weight": 4.0,
    }
    ((_, found),) = read_preferences(numbered({**row, "group": "g", "category": "math"})).rows
    assert found == Preference("x", "p", "one", "two", 0.25, 4.0, "g", "math")
    parsed = read_preferences(numbered({**row, "target": 1.5}, {**row, "target": None}))
    assert [(r.field, r.row) for r in parsed.refused] == [("target", 1), ("target", 2)]
    assert "from 0 to 1" in parsed.refused[0].reason
    voted = {**row, "votes_a": 1, "votes_b": 3, "target": None}
    assert read_preferences(numbered(voted)).rows[0][1].target == 0.25


def test_what_is_written_is_read_back() -> None:
    rows: list[Row] = [
        {"prompt": f"p{i}", "chosen": f"yes {i}", "rejected": "no", "votes_chosen": 2, "votes_rejected": i}
        for i in range(9)
    ]
    first = [p for _, p in read_preferences(numbered(*rows)).rows]
    again = [p for _, p in read_preferences(numbered(*map(to_row, first))).rows]
    assert again == first


def test_conversations_keep_their_roles_and_a_subset_is_a_category() -> None:
    chat = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes?"},
        {"role": "user", "content": "why"},
    ]
    row: Row = {
        "prompt": chat,
        "chosen": [{"role": "assistant", "content": "because"}],
        "rejected": [{"role": "assistant", "content": "no"}],
        "subset": "helpful-base",
    }
    implicit: Row = {"chosen": [*chat, *row["chosen"]], "rejected": [*chat, *row["rejected"]]}  # type: ignore[misc]
    (_, one), (_, other) = read_preferences(numbered(row, implicit)).rows
    assert one.prompt == other.prompt == "User: hi\n\nAssistant: yes?\n\nUser: why"
    assert one.group == other.group
    assert one.category == "helpful-base"
    assert of_criterion([one], "helpful") == [one] == of_criterion([one], "helpful-base")
    assert of_criterion([one], "help") == []


def test_the_order_of_the_answers_says_nothing_of_the_label(shared_data: Path) -> None:
    file = shared_data / "ukp_convarg1" / "pairs_validation.jsonl.gz"
    parsed = read_preferences(read_rows(file.read_bytes(), file.name).rows)
    first = sum(p.target for _, p in parsed.rows)
    assert len(parsed.rows) == 1184 and not parsed.refused
    assert abs(first - 592) < 3 * (1184 / 4) ** 0.5


def test_other_columns_are_an_error_that_names_those_needed() -> None:
    with pytest.raises(FileError, match=r"'chosen'.*'response_a'.*the file has 'text'"):
        read_preferences(numbered({"text": "x"}))
    with pytest.raises(FileError, match="'rating' is missing"):
        read_ratings(numbered({"prompt": "x", "response": "y"}))


def test_ratings() -> None:
    row: Row = {"prompt": "p", "response": "r", "rating": "4.5"}
    rows = numbered(
        row, {**row, "rating": 6}, {**row, "response": " "}, {**row, "rating": None}, {**row, "prompt": 3}
    )
    assert is_rated(rows) and not is_rated(
        numbered({"prompt": "p", "chosen": "a", "rejected": "b", "rating": 3})
    )
    parsed = read_ratings(rows)
    assert [(n, r.rating) for n, r in parsed.rows] == [(1, 4.5)]
    assert [(r.row, r.field) for r in parsed.refused] == [
        (2, "rating"),
        (3, "response"),
        (4, "rating"),
        (5, "prompt"),
    ]


groups = st.lists(st.integers(0, 40).map(str), min_size=3, max_size=200).filter(lambda g: len(set(g)) >= 3)


@given(groups, st.integers(0, 3))
def test_a_group_is_in_one_part_and_each_part_has_one(names: list[str], seed: int) -> None:
    parts = split(names, seed)
    where = {}
    for name, part in zip(names, parts, strict=True):
        assert where.setdefault(name, part) == part
    assert set(parts) == set(PARTS)


def test_many_groups_stay_where_they_are_when_others_are_added() -> None:
    names = [f"g{i}" for i in range(4000)]
    parts = split(names[: FEW_GROUPS + 1])
    whole = split(names)
    assert whole[: FEW_GROUPS + 1] == parts
    count = Counter(whole)
    assert abs(count["train"] / 4000 - (1 - HELD_OUT)) < 0.03
    assert abs(count["test"] / 4000 - HELD_OUT / 2) < 0.025
    assert split(names, seed=1) != whole


def test_too_few_groups_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="about 2 prompts; at least 3"):
        split(["a", "b", "a"])
    assert split(["a", "b"], held_out=0) == ["train", "train"]


@given(groups, st.integers(2, 5))
def test_folds_keep_groups_whole_and_are_even(names: list[str], count: int) -> None:
    found = folds(names, count)
    assert len({(g, f) for g, f in zip(names, found, strict=True)}) == len(set(names))
    filled = [found.count(i) for i in range(count)]
    assert max(filled) - min(filled) <= max(Counter(names).values())
