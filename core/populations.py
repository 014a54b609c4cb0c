"""What a drift run looks at: texts in two windows of time, and what is known of each."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from core.drift import Rows as DriftRows
from core.importing import RowError, moment_of, name_of, number_of, read_each, text_of
from core.ratings import FloatArray, IntArray
from core.reading import FileError, Row
from core.records import Parsed, content_id

TEXTS = ("text", "prompt", "response", "response_a", "response_b")
"""The columns of a file that hold texts; a row is about all of them that it has."""

SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("texts", pa.list_(pa.string())),
        ("after", pa.bool_()),
        ("at", pa.timestamp("us", "UTC")),
        ("group", pa.string()),
        ("error", pa.float64()),
        ("probability", pa.float64()),
        ("target", pa.float64()),
        ("other", pa.float64()),
        ("label", pa.string()),
        ("topic", pa.string()),
        ("pair_id", pa.string()),
    ]
)
"""The table of a population, an Item a row; what is not known is null."""


@dataclass(frozen=True, slots=True)
class Item:
    """One text (or several that belong together) in one window.

    ``id`` is the same in both windows and in later runs. ``after``: in the second window. Items of one ``group`` are alike. ``error``:
    1 where a predictor was wrong, else 0; ``probability`` that the first answer is preferred, ``target`` the share of people who prefer it,
    ``other`` what another predictor says. ``label``: what people said. ``topic``: a topic known beforehand, to hold the clusters against.
    ``pair_id``: the pair to show for it.
    """

    id: str
    texts: tuple[str, ...]
    after: bool
    at: datetime | None = None
    group: str | None = None
    error: float | None = None
    probability: float | None = None
    target: float | None = None
    other: float | None = None
    label: str | None = None
    topic: str | None = None
    pair_id: str | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """From the first day to the last one, both in it (UTC)."""

    first: date
    last: date

    def __str__(self) -> str:
        return f"{self.first}" if self.first == self.last else f"{self.first} to {self.last}"


def proposed(days: Sequence[tuple[date, int]]) -> dict[str, tuple[Window, Window]]:
    """Windows that lend themselves to a comparison, by what they are; ``days``: those that have something, in order, with how much.

    The latest calendar week (and month) against the one before that had something, and the later half of everything, by its
    amount, against the earlier. None where there is a single day.
    """
    found = {}
    for name, start in (("week", _monday), ("month", _first_of_month)):
        starts = sorted({start(day) for day, _ in days})
        if len(starts) > 1:
            one, other = starts[-2:]
            found[f"Latest {name} against the one before"] = (
                Window(one, _last(one, name)),
                Window(other, _last(other, name)),
            )
    if len(days) > 1:
        reached, half = 0, sum(n for _, n in days) / 2
        for place, (_, n) in enumerate(days[:-1]):
            reached += n
            if reached >= half or place == len(days) - 2:
                found["Later half against the earlier"] = (
                    Window(days[0][0], days[place][0]),
                    Window(days[place + 1][0], days[-1][0]),
                )
                break
    return found


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def _first_of_month(day: date) -> date:
    return day.replace(day=1)


def _last(first: date, name: str) -> date:
    if name == "week":
        return first + timedelta(days=6)
    return _first_of_month(first + timedelta(days=31)) - timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Windowed:
    """The items of a file, and what its two windows are called."""

    items: Parsed[Item]
    names: tuple[str, str]


def read_items(rows: Sequence[tuple[int, Row]], split: datetime | None = None) -> Windowed:
    """The items of a file, a row each.

    Texts are in the columns TEXTS. The windows are the two values of the column ``window`` in their order, or what is before ``split`` and
    what is not by the column ``time``; without ``split`` the later half of the times is the second window. Other columns, where there are
    any: ``id``, ``group``, ``error``, ``probability``, ``target``, ``other_probability``, ``label``, ``topic``, ``pair_id``.

    Raises FileError where a column is missing or a window is empty.
    """
    columns = {column for _, row in rows for column in row}
    if rows and not columns & set(TEXTS):
        has = ", ".join(repr(column) for column in sorted(columns)[:20])
        raise FileError(
            f"a row needs a text in {', '.join(map(repr, TEXTS))} (one or more of them); the file has {has}"
        )
    if rows and not columns & {"window", "time"}:
        raise FileError("each row needs a 'window' (one of two values) or a 'time'; the file has neither")
    by_name = "window" in columns and split is None
    parsed = read_each(rows, lambda row: (_item(row), _place(row, by_name)))
    if not parsed.rows:
        raise FileError("there is no row to look at")
    names, second = _windows(
        [item.at for _, (item, _) in parsed.rows], [name for _, (_, name) in parsed.rows], by_name, split
    )
    items = [
        (n, replace(item, after=after)) for (n, (item, _)), after in zip(parsed.rows, second, strict=True)
    ]
    return Windowed(Parsed(items, parsed.refused), names)


def to_table(items: Sequence[Item]) -> pa.Table:
    """The items as a table of SCHEMA."""
    return pa.Table.from_pylist([asdict(item) for item in items], SCHEMA)


@dataclass(frozen=True, slots=True, eq=False)
class Population:
    """A table of SCHEMA as arrays, shape (n,); NaN and NaT where something is not known."""

    id: list[str]
    texts: list[list[str]]
    at: np.ndarray
    label: list[str | None]
    topic: list[str | None]
    pair_id: list[str | None]
    probability: FloatArray
    target: FloatArray
    rows: DriftRows

    @classmethod
    def of(cls, table: pa.Table) -> "Population":
        """An item without a group is of the group of its texts. Raises ValueError where a window is empty."""
        table = table.select(SCHEMA.names).cast(SCHEMA)
        texts = table["texts"].to_pylist()
        groups = [
            content_id("g", *found) if group is None else group
            for group, found in zip(table["group"].to_pylist(), texts, strict=True)
        ]
        after = np.array(table["after"].to_pylist(), dtype=bool)
        for side, which, mend in ((~after, "first", "an earlier start"), (after, "second", "a later end")):
            if not side.any():
                raise ValueError(
                    f"The {which} window is empty: there is nothing to hold the other against. Give it {mend}, or choose other windows."
                )
        number = {
            name: table[name].to_numpy().astype(np.float64)
            for name in ("error", "probability", "target", "other")
        }
        return cls(
            table["id"].to_pylist(),
            texts,
            table["at"].to_numpy(),
            table["label"].to_pylist(),
            table["topic"].to_pylist(),
            table["pair_id"].to_pylist(),
            number["probability"],
            number["target"],
            DriftRows.of(after, _codes(groups), **number),
        )

    def __len__(self) -> int:
        return len(self.id)


def _codes(names: Sequence[str]) -> IntArray:
    place = {name: code for code, name in enumerate(dict.fromkeys(names))}
    return np.array([place[name] for name in names], dtype=np.int64)


def _item(row: Row) -> Item:
    texts = tuple(text_of(row[name], name) for name in TEXTS if row.get(name) not in (None, ""))
    if not texts:
        raise RowError(None, f"has no text in {', '.join(map(repr, TEXTS))}")
    chance = "a number from 0 to 1"
    number = {
        field: number_of(row, column, chance, lambda x: 0 <= x <= 1)
        for field, column in (
            ("probability", "probability"),
            ("target", "target"),
            ("other", "other_probability"),
        )
    }
    return Item(
        id=name_of(row, "id") or content_id("t", *texts),
        texts=texts,
        after=False,
        at=moment_of(row, "time"),
        group=name_of(row, "group"),
        error=number_of(row, "error", "0 or 1", lambda x: x in (0, 1)),
        label=name_of(row, "label"),
        topic=name_of(row, "topic"),
        pair_id=name_of(row, "pair_id"),
        **number,
    )


def _place(row: Row, by_name: bool) -> str:
    """The name of the row's window, "" where its time tells; a row without either is refused."""
    column = "window" if by_name else "time"
    found = (name_of if by_name else moment_of)(row, column)
    if found is None:
        raise RowError(column, "is missing")
    return found if isinstance(found, str) else ""


def _windows(
    times: Sequence[datetime | None], names: Sequence[str], by_name: bool, split: datetime | None
) -> tuple[tuple[str, str], list[bool]]:
    if by_name:
        kinds = sorted(set(names), key=_in_order)
        if len(kinds) != 2:
            shown = ", ".join(map(repr, kinds[:5])) + (", …" if len(kinds) > 5 else "")
            raise FileError(f"the column 'window' has {len(kinds)} values ({shown}); two windows are needed")
        return (kinds[0], kinds[1]), [name == kinds[1] for name in names]
    known = [time for time in times if time is not None]
    middle = split or sorted(known)[len(known) // 2]
    second = [time >= middle for time in known]
    if all(second) or not any(second):
        which, extreme = ("first", min(known)) if all(second) else ("second", max(known))
        raise FileError(
            f"the {which} window is empty: the {'earliest' if which == 'first' else 'latest'} row is of {extreme:%Y-%m-%d %H:%M} UTC; "
            "split the times elsewhere"
        )
    return (f"before {middle:%Y-%m-%d %H:%M}", f"from {middle:%Y-%m-%d %H:%M}"), second


def _in_order(name: str) -> tuple[float, str]:
    """Numbers by their size, then ``before`` in front of ``after``, then the alphabet."""
    try:
        return float(name), ""
    except ValueError:
        return math.inf, {"before": "0", "after": "1"}.get(name, name)


def described(windows: tuple[str, str], population: Population) -> list[dict[str, Any]]:
    """Of each window its name, rows and groups, and its first and last time where known."""
    found = []
    for name, side in zip(windows, (~population.rows.after, population.rows.after), strict=True):
        times = population.at[side]
        times = times[~np.isnat(times)]
        ends = {"from": str(times.min()), "to": str(times.max())} if len(times) else {}
        groups = len(np.unique(population.rows.group[side]))
        found.append({"name": name, "rows": int(side.sum()), "groups": groups, **ends})
    return found
