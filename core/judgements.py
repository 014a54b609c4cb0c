"""The judgements that stand, with all that bias and annotators are told from: who, when, how fast, which side, which texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from core.ratings import FloatArray, IntArray, Ratings
from core.records import CHOICES

A, B = CHOICES.index("a"), CHOICES.index("b")
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Judgements:
    """Judgements in long form, in order of submission; skips are none.

    Of each judgement, shape (n,): ``pair`` and ``annotator``, codes into what follows; ``choice``, a code into CHOICES;
    ``side``, 1 where response a stood left, -1 where b did, 0 where it is not known; ``seconds``, NaN where not known; ``at``, UTC.

    Of each pair, shape (n_pairs,): its id in ``pairs``; ``prompt``, a code; ``gold``, a code into CHOICES or -1;
    ``marks``, shape (n_pairs, 2, len(core.surface.COUNTED)), how many of each its responses a and b have.

    Of each annotator: id, name and kind.
    """

    pair: IntArray
    annotator: IntArray
    choice: IntArray
    side: IntArray
    seconds: FloatArray
    at: npt.NDArray[np.datetime64]
    pairs: Sequence[str]
    prompt: IntArray
    gold: IntArray
    marks: FloatArray
    annotators: Sequence[str]
    names: Sequence[str]
    kinds: Sequence[str]

    def __len__(self) -> int:
        return len(self.pair)

    @property
    def decisive(self) -> Bools:
        """Which prefer an answer, shape (n,)."""
        return np.asarray(self.choice <= B)

    @property
    def first(self) -> Bools:
        """Which are an annotator's first of a pair, shape (n,); the others are repeats."""
        _, places = np.unique(self.pair * len(self.annotators) + self.annotator, return_index=True)
        first = np.zeros(len(self), dtype=np.bool_)
        first[places] = True
        return first

    def ratings(self, rows: npt.NDArray[Any] | slice = slice(None)) -> Ratings:
        """Who put which pair into which of CHOICES, as the consensus reads it."""
        pair, annotator, choice = self.pair[rows], self.annotator[rows], self.choice[rows]
        unknown = np.full(len(pair), np.nan)
        return Ratings(pair, annotator, choice, unknown, self.pairs, self.annotators, CHOICES)
