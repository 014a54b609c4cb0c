"""Which pairs need adjudication: those on which annotators did not all choose alike, the most disputed first."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import scipy

from core.agreement import unit_counts
from core.consensus import dawid_skene
from core.ratings import FloatArray, IntArray, Ratings

Order = Literal["split", "doubt"]
ORDERS: tuple[Order, ...] = get_args(Order)
LEAST = 2
"""Annotators that it takes to disagree."""


@dataclass(frozen=True, slots=True)
class Disputes:
    """The disputed units, the most disputed first; ``measure`` says how much, ``votes`` is how many annotators judged.

    Both of shape (n_disputes,).
    """

    units: list[str]
    measure: FloatArray
    votes: IntArray


def disputes(ratings: Ratings, order: Order = "split", least: int = LEAST) -> Disputes:
    """The units that at least ``least`` annotators judged, and not all alike; only first judgements count.

    ``order`` "split" measures by the share of the votes against the most common choice, from 0 to 1 - 1 / q with q
    categories; "doubt" by the entropy in bits of the Dawid-Skene posterior, in which reliable annotators weigh more.
    Among equals those with more votes come first, then by name.
    """
    counts = unit_counts(ratings)
    votes = counts.sum(1).astype(np.int64)
    disputed = np.flatnonzero((votes >= least) & ((counts > 0).sum(1) > 1))
    if order == "split":
        measure = 1 - counts[disputed].max(1, initial=0) / votes[disputed]
    else:
        measure = scipy.stats.entropy(dawid_skene(ratings).posterior[disputed], base=2, axis=1)
    names = np.array([ratings.units[int(i)] for i in disputed], dtype=str)
    first = np.lexsort((names, -votes[disputed], -measure.round(9)))
    return Disputes(names[first].tolist(), measure[first], votes[disputed][first])
