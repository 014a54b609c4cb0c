"""Rows of a file into two windows, and what is wrong with those that are refused."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from core.populations import Item, Population, Window, described, proposed, read_items, to_table
from core.reading import FileError

START = datetime(2026, 3, 2, tzinfo=UTC)


def numbered(rows: list[dict[str, Any]]) -> list[tuple[int, dict[str, Any]]]:
    return list(enumerate(rows, start=1))


def in_windows(*names: object) -> list[dict[str, Any]]:
    return [{"text": f"text {i}", "window": name} for i, name in enumerate(names)]


@pytest.mark.parametrize(
    ("names", "first", "second"),
    [
        ((6, 5, 6), "5", "6"),
        (("10", "9"), "9", "10"),
        (("after", "before"), "before", "after"),
        (("b", "a"), "a", "b"),
    ],
)
def test_windows_come_in_their_order(names: tuple[object, ...], first: str, second: str) -> None:
    found = read_items(numbered(in_windows(*names)))
    assert found.names == (first, second)
    assert [item.after for _, item in found.items.rows] == [str(name) == second for name in names]


def test_times_are_split_where_told_and_else_in_the_middle() -> None:
    rows = [{"text": f"text {i}", "time": (START + timedelta(days=i)).isoformat()} for i in range(6)]
    middle = read_items(numbered(rows))
    assert [item.after for _, item in middle.items.rows] == [False] * 3 + [True] * 3
    told = read_items(numbered(rows), START + timedelta(days=5))
    assert [item.after for _, item in told.items.rows] == [False] * 5 + [True]
    assert told.names == ("before 2026-03-07 00:00", "from 2026-03-07 00:00")


def test_a_row_is_read_whole() -> None:
    row = {"id": "x1", "prompt": "P", "response_a": "A", "response_b": "B", "window": 1, "time": "2026-03-02", "group": 7, "error": 1,
           "probability": 0.9, "target": "0.2", "other_probability": 0.4, "label": "a", "topic": "t", "pair_id": "pair"}  # fmt: skip
    (_, item), _ = read_items(numbered([row, {"text": "other", "window": 2}])).items.rows
    assert item == Item("x1", ("P", "A", "B"), False, START, "7", 1, 0.9, 0.2, 0.4, "a", "t", "pair")


def test_rows_that_are_none_are_refused_with_why() -> None:
    rows = [
        *in_windows(1, 2),
        {"text": " ", "window": 1},
        {"text": "no window", "window": None},
        {"text": "p", "window": 1, "probability": 1.2},
        {"text": "e", "window": 1, "error": "maybe"},
        {"text": "x" * 200_001, "window": 1},
        {"text": "", "window": 1},
    ]
    refused = read_items(numbered(rows)).items.refused
    assert [(r.row, r.field) for r in refused] == [
        (3, "text"),
        (4, "window"),
        (5, "probability"),
        (6, "error"),
        (7, "text"),
        (8, None),
    ]
    assert "0 or 1 is needed" in refused[3].reason and "200,001 characters" in refused[4].reason


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([], "no row"),
        ([{"words": "x", "window": 1}], "a row needs a text in 'text'"),
        ([{"text": "x"}], "each row needs a 'window'"),
        (in_windows(1, 1), r"has 1 values \('1'\); two windows"),
        (in_windows(1, 2, 3), "has 3 values"),
        (
            [{"text": "x", "time": "2026-03-02"}] * 3,
            "the first window is empty: the earliest row is of 2026-03-02",
        ),
    ],
)
def test_files_that_cannot_be_used_say_why(rows: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(FileError, match=said):
        read_items(numbered(rows))


def test_a_table_is_read_back_with_alike_texts_in_one_group() -> None:
    items = [
        Item("a", ("same",), False, START, probability=0.8, target=0.0, other=0.1),
        Item("b", ("same",), True, START + timedelta(days=1)),
        Item("c", ("other",), True, group="g", error=0),
    ]
    found = Population.of(to_table(items))
    assert (
        len(found) == 3
        and found.rows.group.tolist() == [0, 0, 1]
        and found.rows.after.tolist() == [False, True, True]
    )
    assert (
        found.rows.error[0] == 1
        and np.isnan(found.rows.error[1])
        and found.rows.error[2] == 0
        and found.rows.flip[0] == 1
    )
    assert found.rows.gap[0] == pytest.approx(0.8)
    before, after = described(("one", "two"), found)
    assert before == {
        "name": "one",
        "rows": 1,
        "groups": 1,
        "from": "2026-03-02T00:00:00.000000",
        "to": "2026-03-02T00:00:00.000000",
    }
    assert (after["rows"], after["groups"]) == (2, 2)


@pytest.mark.parametrize(("after", "which"), [(True, "first"), (False, "second")])
def test_an_empty_window_says_what_would_mend_it(after: bool, which: str) -> None:
    with pytest.raises(ValueError, match=f"The {which} window is empty.*choose other windows"):
        Population.of(to_table([Item("a", ("x",), after)]))


def test_windows_are_proposed_from_the_days_that_have_something() -> None:
    march = [(date(2026, 3, day), 10) for day in (2, 3, 10, 11, 31)]
    found = proposed([(date(2026, 2, 27), 10), *march])
    assert found == {
        "Latest week against the one before": (
            Window(date(2026, 3, 9), date(2026, 3, 15)),
            Window(date(2026, 3, 30), date(2026, 4, 5)),
        ),
        "Latest month against the one before": (
            Window(date(2026, 2, 1), date(2026, 2, 28)),
            Window(date(2026, 3, 1), date(2026, 3, 31)),
        ),
        "Later half against the earlier": (
            Window(date(2026, 2, 27), date(2026, 3, 3)),
            Window(date(2026, 3, 10), date(2026, 3, 31)),
        ),
    }
    assert (
        list(proposed(march[:2])) == ["Later half against the earlier"]
        and proposed(march[:1]) == proposed([]) == {}
    )
    lopsided = proposed([(date(2026, 3, 2), 1), (date(2026, 3, 3), 99)])["Later half against the earlier"]
    assert [str(window) for window in lopsided] == ["2026-03-02", "2026-03-03"]
