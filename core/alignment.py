"""How far a vote predictor and people go together on pairs that it had not seen, over time or by any other part.

Every figure is a mean over pairs, with an interval over prompts (``core.comparing``). Two people are the yardstick for how
often a model and a person agree, not the ceiling: who always sides with the majority agrees with a person more often than
another person does. The ceiling is what siding with the majority of every pair would give, told after the votes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from core.bootstrap import Bootstrap
from core.calibration import NOTHING
from core.comparing import ALL_TIED, right, share
from core.estimate import Estimate
from core.held_out import HeldOut
from core.ratings import FloatArray, IntArray

SURE = 0.8
"""The confidence from which on the model counts as sure."""

TWICE = "No pair here has two votes for an answer."
FIGURES: Mapping[str, str] = {
    "accuracy": ALL_TIED,
    "votes": NOTHING,
    "confidence": NOTHING,
    "with_people": TWICE,
    "among_people": TWICE,
    "ceiling": TWICE,
    "wrong_though_sure": f"The model was {SURE:.0%} sure of no pair here.",
    "against_all": "There is no pair here on which all people agree.",
    "against_most": "There is no pair here on which most people, but not all, agree.",
    "sure_of_a_tie": "There is no pair here on which people are evenly split.",
}
"""The figures, each with why it cannot be computed where no pair counts for it.

``accuracy``: the model prefers what most people do. ``votes``: the share of the votes for the answer that it prefers, a tie
half a vote; ``confidence``: the probability that it gave that answer, which should be the same. ``with_people``: a vote for an answer agrees with the model; ``among_people``: two such votes agree; ``ceiling``: a vote
agrees with the majority; all three on the pairs with two such votes. The others are errors: ``wrong_though_sure`` among
the pairs it was SURE of; ``against_all`` and ``against_most`` among those on which all people, or most, are of one mind;
``sure_of_a_tie`` among those on which they are evenly split.
"""


@dataclass(frozen=True, slots=True, eq=False)
class Aligned:
    """Held-out pairs with the votes on them. ``votes``: shape (n, 3), for a, for b, and ties."""

    pairs: HeldOut
    votes: IntArray

    def take(self, rows: IntArray) -> "Aligned":
        """The pairs of some rows."""
        return Aligned(self.pairs.take(rows), self.votes[rows])

    def values(self) -> dict[str, FloatArray]:
        """Each of FIGURES for each pair, shape (n,); NaN where the pair does not count for it."""
        p, y, said = self.pairs.p, self.pairs.y, self.pairs.as_stored()
        confidence, correct, tied = np.maximum(p, 1 - p), right(said), y == 0.5
        sure, wrong = confidence >= SURE, 1 - correct
        for_answer = self.votes[:, :2].astype(np.float64)
        n, most = for_answer.sum(1), for_answer.max(1, initial=0)
        twice = n >= 2
        unanimous = (most == self.votes.sum(1)) & twice
        with np.errstate(invalid="ignore", divide="ignore"):
            theirs = np.select([p > 0.5, p < 0.5], [for_answer[:, 0], for_answer[:, 1]], n / 2) / n
            alike = (for_answer * (for_answer - 1)).sum(1) / (n * (n - 1))
            majority = most / n

        def among(rows: np.ndarray, values: FloatArray) -> FloatArray:
            return np.where(rows, values, np.nan)

        return {
            "accuracy": correct,
            "votes": np.select([p > 0.5, p < 0.5], [y, 1 - y], 0.5),
            "confidence": confidence,
            "with_people": among(twice, theirs),
            "among_people": among(twice, alike),
            "ceiling": among(twice, majority),
            "wrong_though_sure": among(sure, wrong),
            "against_all": among(unanimous, wrong),
            "against_most": among(twice & ~unanimous, wrong),
            "sure_of_a_tie": among(tied, sure.astype(np.float64)),
        }

    def figures(self, seed: int = 0) -> dict[str, Estimate]:
        """Each of FIGURES over all pairs."""
        said = self.pairs.as_stored()
        return {
            name: share(said, values, seed, nowhere=FIGURES[name]) for name, values in self.values().items()
        }

    def __len__(self) -> int:
        return len(self.pairs)


def parts(
    aligned: Aligned, place: IntArray, names: Sequence[str], few: int
) -> tuple[dict[str, Aligned], int]:
    """The parts of ``few`` pairs or more, in the order of ``names``, and how many pairs are in none of them.

    ``place``: shape (n,), codes into ``names``; -1 for none.
    """
    found = {name: np.flatnonzero(place == code) for code, name in enumerate(names)}
    large = {name: aligned.take(rows) for name, rows in found.items() if len(rows) >= few}
    return large, len(aligned) - sum(map(len, large.values()))


def change(aligned: Aligned, late: IntArray, figure: str, seed: int = 0) -> Estimate:
    """A figure over the pairs of the rows ``late`` less that over the others, with the 95% interval of a bootstrap in which a
    prompt takes all of its pairs along, earlier and late. ``n`` counts the pairs that enter.

    Cannot be computed where either side has fewer than two prompts.
    """
    values = aligned.values()[figure]
    cell = np.zeros(len(aligned), dtype=np.int64)
    cell[late] = 1
    rows = np.flatnonzero(~np.isnan(values))
    values, cell = values[rows], cell[rows]
    _, group = np.unique(aligned.pairs.group[rows], return_inverse=True)
    if any(len(np.unique(group[cell == side])) < 2 for side in (0, 1)):
        return Estimate.unavailable("A change needs two prompts or more before it and after.", len(rows))
    draw = Bootstrap(group.astype(np.int64), int(group.max()) + 1, seed=seed)
    means = np.bincount(cell, values, 2) / np.bincount(cell, minlength=2)
    with np.errstate(invalid="ignore"):
        replicates = draw.sums(values, cell, 2) / draw.sums(np.ones(len(rows)), cell, 2)
    gaps = replicates[:, 1] - replicates[:, 0]
    return draw.percentile(float(means[1] - means[0]), gaps[~np.isnan(gaps)])
