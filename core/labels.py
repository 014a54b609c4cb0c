"""What a reward model is taught about a pair: the votes on it as one soft label, by a stated policy.

Only an annotator's first judgement of a pair counts. A skip is no vote. "Both bad" prefers neither and says nothing about
which is better, so it is left out of the vote, and a pair with nothing else has no label. Where a pair was adjudicated the
resolution is its label, whatever the votes say.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from core.agreement import unit_counts
from core.consensus import dawid_skene, majority, only
from core.preferences import Ties
from core.ratings import FloatArray, IntArray, Ratings
from core.records import Choice

Method = Literal["votes", "majority", "dawid_skene"]
METHODS: tuple[Method, ...] = get_args(Method)

LOST = {
    "no_annotations": "nobody has judged the pair",
    "simulated_only": "only simulated annotators judged it, and they are left out",
    "skip_only": "whoever saw it skipped it",
    "both_bad": "people found both answers bad",
    "tie": "people found the answers equally good, and ties are left out",
    "no_majority": "no choice has more votes than the others",
    "identical_answers": "both answers have the same text",
    "seen": "the model has learnt from its prompt",
}
"""Why a pair teaches nothing; it counts under the first reason that applies."""
CONSENSUS: dict[Method, str] = {
    "votes": "the share of the votes",
    "majority": "the majority’s choice",
    "dawid_skene": "Dawid-Skene’s posterior",
}
"""What a label is, by each method."""
TIES: dict[Ties, str] = {"half": "a tie is half a vote for each answer", "drop": "ties are left out"}


@dataclass(frozen=True, slots=True)
class Policy:
    """How votes become a label.

    ``consensus``: "votes" takes the share of the votes for a, "majority" the choice with most votes as certain, and
    "dawid_skene" the posterior, in which reliable annotators weigh more. ``ties``: "half" counts a tie as half a vote
    for each answer, "drop" leaves tie votes out. ``simulated``: whether simulated annotators count.

    Raises ValueError for a policy there is not.
    """

    consensus: Method = "votes"
    ties: Ties = "half"
    simulated: bool = False

    def __post_init__(self) -> None:
        if self.consensus not in METHODS:
            raise ValueError(f"consensus is {self.consensus!r}; it must be one of {', '.join(METHODS)}")
        if self.ties not in get_args(Ties):
            raise ValueError(f"ties is {self.ties!r}; it must be half or drop")

    @property
    def voting(self) -> tuple[Choice, ...]:
        """The choices that are votes."""
        return ("a", "b", "tie") if self.ties == "half" else ("a", "b")


@dataclass(frozen=True, slots=True)
class Labels:
    """For each unit the probability that a is preferred (NaN where there is no label), the votes behind it, and ""
    or the key of LOST that says why there is no label. All of shape (n_units,)."""

    target: FloatArray
    weight: FloatArray
    lost: list[str]


def label(ratings: Ratings, policy: Policy, resolution: IntArray | None = None) -> Labels:
    """The label of each unit of ``ratings``, whose categories are among a, b, tie and both_bad.

    ``resolution``: shape (n_units,), the category's code that adjudication settled on, -1 where there was none. It makes
    the label certain, and counts as one more vote in the weight.
    """
    said = {name: votes for name, votes in zip(ratings.categories, unit_counts(ratings).T, strict=True)}
    none = np.zeros(len(ratings.units))
    voting = only(ratings, policy.voting)
    counts = unit_counts(voting)
    weight = counts.sum(1)
    lost = np.select(
        [weight > 0, said.get("tie", none) > 0, said.get("both_bad", none) > 0],
        ["", "tie", "both_bad"],
        "no_annotations",
    )
    if policy.consensus == "dawid_skene":
        belief = dawid_skene(voting).posterior
    elif policy.consensus == "majority":
        code = majority(voting).label
        belief = np.eye(len(voting.categories))[code]
        lost = np.where((code < 0) & (lost == ""), "no_majority", lost)
    else:
        belief = counts
    side = np.array([{"a": 1.0, "b": 0.0, "tie": 0.5}[name] for name in voting.categories])
    with np.errstate(invalid="ignore"):
        target = belief @ side / belief.sum(1)
    if resolution is not None:
        settled, names = resolution >= 0, np.array([*ratings.categories, ""], dtype=object)[resolution]
        votes = settled & np.isin(names, policy.voting)
        target = np.where(settled, np.select([names == "a", names == "b"], [1.0, 0.0], 0.5), target)
        lost = np.where(settled, np.where(votes, "", names), lost)
        weight = weight + votes
    return Labels(np.where(lost == "", target, np.nan), weight, lost.tolist())
