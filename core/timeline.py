"""How annotations and preferences went over time: counts and shares in calendar windows, apart by category, model or annotator.

A share is about the judgements that can tell: ``longer``, those that prefer one of two answers of different length; ``left``, those that
prefer an answer and know which stood left; ``undecided``, all (a tie or "both bad" is undecided); ``wins``, those on answers by two
models, "both bad" left out, where a tie is half a win for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from core.clustered import shares
from core.estimate import Estimate
from core.held_out import WINDOWS, Times, Unit, windows
from core.ratings import FloatArray, IntArray
from core.records import CHOICES

Measure = Literal["count", "longer", "left", "wins", "undecided"]
MEASURES: tuple[Measure, ...] = get_args(Measure)
Split = Literal["all", "category", "model", "annotator"]
SPLITS: tuple[Split, ...] = get_args(Split)
NONE = "There is no such judgement yet."
A, B, BOTH_BAD = (CHOICES.index(choice) for choice in ("a", "b", "both_bad"))


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """What counts, in long form: entry i is about judgement ``row[i]`` of the table, in a window and a group (codes into ``starts`` and
    ``names``, those of most entries first), and says ``value[i]``. A judgement of two models' answers may be in both groups.

    ``prompt``: of each entry, the cluster of the intervals.
    """

    starts: Times
    names: Sequence[str]
    row: IntArray
    window: IntArray
    group: IntArray
    value: FloatArray
    prompt: IntArray

    def counts(self) -> IntArray:
        """Entries of each group in each window: shape (groups, windows)."""
        shape = len(self.names), len(self.starts)
        code = self.group * shape[1] + self.window
        found: IntArray = np.bincount(code, minlength=shape[0] * shape[1]).reshape(shape)
        return found

    def shares(self, groups: Sequence[int]) -> list[list[Estimate]]:
        """For each of some groups the share in each window, with its interval over prompts; ``n`` counts judgements."""
        place = np.full(len(self.names), -1)
        place[list(groups)] = np.arange(len(groups))
        kept = place[self.group] >= 0
        w = len(self.starts)
        cell = place[self.group[kept]] * w + self.window[kept]
        found = shares(self.value[kept], cell, len(groups) * w, self.prompt[kept], NONE)
        return [found[i * w : (i + 1) * w] for i in range(len(groups))]

    def behind(self, group: int, window: int) -> IntArray:
        """The judgements that a point stands for, as rows of the table."""
        return np.asarray(self.row[(self.group == group) & (self.window == window)])


def timeline(
    table: pa.Table,
    measure: Measure,
    split: Split = "all",
    unit: Unit | None = None,
    model: str | None = None,
) -> Timeline:
    """Of a table as ``storage.judgements.listed`` gives it. ``model``: whose wins, where they are not apart by model.

    ``unit`` None takes hours where all of it lies in a day, else days, weeks, months or years.

    Raises ValueError for wins that are neither apart by model nor a model's.
    """
    starts, window = _windows(table["submitted_at"].to_numpy().astype("datetime64[us]"), unit)
    models, a, b = _models(table)
    counts, value = _said(table, measure, a, b)
    if split == "model" or measure == "wins":
        row, who = _sides(a, b)
    else:
        row, who = np.arange(len(table)), np.zeros(len(table), dtype=np.int64)
    kept = counts[row]
    if measure == "wins" and split != "model":
        if model is None:
            raise ValueError("Whose wins? Name a model, or tell models apart.")
        kept &= who == (models.index(model) if model in models else len(models))
    row, who = row[kept], who[kept]
    said = value[row]
    if measure == "wins":
        said = np.where(a[row] == who, said, 1 - said)
    if split == "model":
        names, group = models, who
    elif split == "all":
        names, group = ["All"], np.zeros(len(row), dtype=np.int64)
    else:
        names = table[split].combine_chunks().dictionary.to_pylist()
        group = table[split].combine_chunks().indices.to_numpy().astype(np.int64)[row]
    size = np.bincount(group, minlength=len(names))
    order = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
    place = np.zeros(len(names), dtype=np.int64)
    place[order] = np.arange(len(order))
    prompt = table["prompt"].to_numpy()[row]
    return Timeline(starts, [names[i] for i in order], row, window[row], place[group], said, prompt)


def _said(
    table: pa.Table, measure: Measure, a: IntArray, b: IntArray
) -> tuple[npt.NDArray[np.bool_], FloatArray]:
    """Which judgements tell, and what they say: of wins, those of answer a, whose models ``a`` and ``b`` are."""
    choice = _codes(table["choice"], CHOICES)
    if measure == "longer":
        longer = np.sign(table["length_a"].to_numpy() - table["length_b"].to_numpy())
        return (choice <= B) & (longer != 0), np.where((choice == A) == (longer > 0), 1.0, 0.0)
    if measure == "left":
        left = _codes(table["left"], ("a", "b"))
        return (choice <= B) & (left >= 0), np.where(choice == left, 1.0, 0.0)
    if measure == "wins":
        told = (a >= 0) & (b >= 0) & (a != b) & (choice != BOTH_BAD)
        return told, np.array([1.0, 0.0, 0.5, 0.0])[choice]
    return np.ones(len(table), dtype=np.bool_), np.where(choice > B, 1.0, 0.0)


def _windows(at: Times, unit: Unit | None) -> tuple[Times, IntArray]:
    found = windows(at, unit)
    if unit is None and len(found[0]) == 1:
        hours = windows(at, "hour")
        return hours if len(hours[0]) <= WINDOWS else found
    return found


def _models(table: pa.Table) -> tuple[list[str], IntArray, IntArray]:
    """The models' names, and for each judgement those of a and b as codes, -1 where not known."""
    a, b = (table[name].combine_chunks() for name in ("model_a", "model_b"))
    names = sorted({*a.dictionary.to_pylist(), *b.dictionary.to_pylist()})
    return names, _codes(table["model_a"], names), _codes(table["model_b"], names)


def _sides(a: IntArray, b: IntArray) -> tuple[IntArray, IntArray]:
    """An entry for each judgement and each model in it: the judgement's row, the model's code."""
    row, who = np.tile(np.arange(len(a)), 2), np.concatenate([a, np.where(a == b, -1, b)])
    return row[who >= 0], who[who >= 0]


def _codes(column: pa.ChunkedArray, names: Sequence[str]) -> IntArray:
    """The place of each of a dictionary column's values among ``names``; -1 where null."""
    coded = column.combine_chunks()
    place = pc.index_in(coded.dictionary, pa.array(names, pa.string())).to_numpy(zero_copy_only=False)
    there = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    return np.asarray(np.append(place, -1)[there], dtype=np.int64)
