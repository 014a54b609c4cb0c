"""What a model said of pairs that it had not seen: the ground on which its quality and calibration are told.

Which answer of a pair is called a is an accident, or worse, it is the answer that people chose: outcomes would then all be
1, and any calibration measure empty. A vote predictor has no first answer of its own, p(a, b) = 1 - p(b, a), so for
calibration every pair is turned towards the answer that the model scores higher. The turn rests on the score alone, never
on the votes; probabilities are then 1/2 or more, and an outcome is the share of people who agree with the model.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from scipy.special import expit

from core.calibration import Predictions
from core.ratings import FloatArray, IntArray

Names = npt.NDArray[np.object_]
Times = npt.NDArray[np.datetime64]

Unit = Literal["hour", "day", "week", "month", "year"]
UNITS: tuple[Unit, ...] = get_args(Unit)
WINDOWS = 20
"""Windows of time at most, where nobody chose their length."""
FEW = 20
"""A category or window with fewer pairs is left out."""
MOST = 30
"""Categories at most, the largest ones."""
BINS = 20
"""Of [0, 1], for calibration; turned pairs fill the upper half."""
ALL, TEST = "all", "test"
"""Which of the pairs that a model had not seen: all of them, or those of its test split."""


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """A row a pair; every array has shape (n,).

    ``raw``: the reward of a less that of b. ``p``: the calibrated probability that a is preferred. ``y``: the share of
    people who prefer a, as they say now. ``group``: the prompt. ``at``: the pair's latest annotation, NaT where unknown.
    """

    pair_id: Names
    raw: FloatArray
    p: FloatArray
    y: FloatArray
    group: Names
    category: Names
    at: Times

    @classmethod
    def of(cls, table: pa.Table) -> "HeldOut":
        """The latest prediction of each pair that has a label, from a table as ``storage.models.predictions`` gives it."""
        table = table.filter(pc.is_valid(table["now"]))
        ids = table["pair_id"].to_pylist()
        rows = np.array(list({pair_id: row for row, pair_id in enumerate(ids)}.values()), dtype=np.int64)
        kept = table.take(pa.array(rows))

        def names(column: str) -> Names:
            return np.array(pc.fill_null(kept[column], "").to_pylist(), dtype=object)

        def numbers(column: str) -> FloatArray:
            return np.asarray(kept[column].to_numpy(), dtype=np.float64)

        at = kept["submitted_at"].cast(pa.timestamp("us", "UTC")).to_numpy().astype("datetime64[us]")
        return cls(
            names("pair_id"),
            numbers("raw"),
            numbers("probability"),
            numbers("now"),
            names("group"),
            names("category"),
            at,
        )

    def take(self, rows: npt.NDArray[np.generic]) -> "HeldOut":
        """The pairs of some rows (indices or a mask)."""
        return HeldOut(*(getattr(self, name)[rows] for name in self.__slots__))

    @property
    def uncalibrated(self) -> FloatArray:
        """The probability that a is preferred before any calibrator."""
        return np.asarray(expit(self.raw))

    @property
    def turned(self) -> npt.NDArray[np.bool_]:
        """Whether the model scores b higher."""
        return np.asarray(self.raw < 0)

    def as_stored(self) -> Predictions:
        """The predictions for a, as two models are compared on."""
        return Predictions.of(self.p, self.y, None, self.group)

    def towards(self, p: FloatArray) -> Predictions:
        """Probabilities that a is preferred, one a pair, turned towards the answer that the model scores higher."""
        turned = self.turned
        return Predictions.of(
            np.where(turned, 1 - p, p), np.where(turned, 1 - self.y, self.y), None, self.group
        )

    def __len__(self) -> int:
        return len(self.pair_id)


def unseen(table: pa.Table, which: str = ALL, campaign_id: str | None = None) -> pa.Table:
    """The predictions, of ``storage.models.predictions``, of pairs that a model was not fitted to: those of its test split and its
    probes (ALL), of the one (TEST), or of the probe that ``which`` is the id of; with ``campaign_id`` those last annotated there.

    Where a model is an earlier one calibrated anew, the pairs of that count: what it says of them is out of fold.
    """
    there = set(table["split"].to_pylist())
    if campaign_id is not None:
        table = table.filter(pc.equal(table["campaign_id"], campaign_id))
    held = ["test", "probe"] if there & {"train", "test"} else ["calibration", "probe"]
    if which in (ALL, TEST):
        return table.filter(pc.is_in(table["split"], pa.array(held[:1] if which == TEST else held)))
    return table.filter(pc.equal(table["probe_id"], which))


def shared(first: HeldOut, second: HeldOut, seen: Collection[str]) -> tuple[HeldOut, HeldOut]:
    """The pairs that both predicted, in one order, without those of ``seen`` prompts; their outcomes are the second's."""
    place = {pair_id: row for row, pair_id in enumerate(first.pair_id)}
    both = np.array(
        [
            row
            for row, (pair_id, group) in enumerate(zip(second.pair_id, second.group, strict=True))
            if pair_id in place and group not in seen
        ],
        dtype=np.int64,
    )
    right = second.take(both)
    left = first.take(np.array([place[pair_id] for pair_id in right.pair_id], dtype=np.int64))
    return HeldOut(left.pair_id, left.raw, left.p, right.y, left.group, left.category, left.at), right


def windows(at: Times, unit: Unit | None = None) -> tuple[Times, IntArray]:
    """The start of each calendar window that has a pair, and the window of each pair; -1 where its time is unknown.

    ``unit``: the length of a window; None takes the finest, from days on, that makes WINDOWS or fewer.
    """
    known = ~np.isnat(at)
    for length in UNITS[1:] if unit is None else (unit,):
        found, place = np.unique(_start(at[known], length), return_inverse=True)
        if len(found) <= WINDOWS:
            break
    code = np.full(len(at), -1, dtype=np.int64)
    code[known] = place
    return found, code


def _start(at: Times, unit: Unit) -> Times:
    """The hour, or the first day, of the window of each time; weeks begin on Monday."""
    if unit == "hour":
        return at.astype("datetime64[h]")
    days = at.astype("datetime64[D]")
    if unit == "week":
        monday = np.timedelta64(4, "D")
        days = (days - monday).astype("datetime64[W]").astype("datetime64[D]") + monday
        return days
    return days.astype(f"datetime64[{unit[0].upper()}]").astype("datetime64[D]")
