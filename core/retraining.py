"""Which pairs a model should learn again, and how much each counts, from its errors.

A pair starts at 1 and is multiplied by

- 1 + (BOOST - 1) |2 target - 1| where the model was confidently wrong: its probability for the answer people preferred is at most
  1 - CONFIDENT. A vote that was close says little against the model, so it adds little;
- UNSURE where the model gave neither answer more than LOW_CONFIDENCE;
- up to CATEGORY where the error rate of its category, of MIN_PAIRS pairs or more, is above the overall one: the ratio of the
  two, with the category's taken at the lower end of its 95% interval, so that a few unlucky pairs raise nothing;
- likewise for its cluster, where the pairs have been clustered.

The factors are scaled to a mean of 1, so that a learning rate means the same as before.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.agreement import proportion
from core.ratings import FloatArray
from core.two_samples import BoolArray

CONFIDENT, BOOST = 0.8, 3.0
LOW_CONFIDENCE, UNSURE = 0.6, 2.0
CATEGORY, MIN_PAIRS = 2.0, 10


@dataclass(frozen=True, slots=True)
class Emphasis:
    """``weight``: shape (n,), mean 1. How many pairs were raised for each reason; a pair may be raised for several.
    ``categories``, ``clusters``: the factor of each that was raised."""

    weight: FloatArray
    confident_mistakes: int
    low_confidence: int
    categories: dict[str, float]
    clusters: dict[str, float]


def emphasis(
    p: FloatArray,
    target: FloatArray,
    categories: Sequence[str],
    held_out: Sequence[bool],
    clusters: Sequence[str] = (),
) -> Emphasis:
    """The weights of pairs for retraining; all of shape (n,).

    ``p``: the model's probability that a is preferred, NaN for a pair it has not judged.
    ``target``: the share of people who prefer a. ``held_out``: whether the model was not fitted to the pair; the error
    rates of categories and clusters rest on these pairs alone. ``clusters``: "" for a pair of none; none at all where
    the pairs were not clustered.
    """
    with np.errstate(invalid="ignore"):
        sure = np.maximum(p, 1 - p)
        wrong = (p - 0.5) * (target - 0.5) < 0
        mistake, unsure = wrong & (sure >= CONFIDENT), sure <= LOW_CONFIDENCE
    weight = np.where(mistake, 1 + (BOOST - 1) * np.abs(2 * target - 1), 1.0) * np.where(unsure, UNSURE, 1.0)
    judged = np.asarray(held_out, dtype=bool) & ~np.isnan(p) & (target != 0.5)
    raised: list[dict[str, float]] = []
    for groups in (categories, clusters or [""] * len(weight)):
        names = np.asarray(groups, dtype=object)
        raised.append(_raised(names, wrong, judged))
        for name, factor in raised[-1].items():
            weight[names == name] *= factor
    if len(weight):
        weight /= weight.mean()
    return Emphasis(weight, int(mistake.sum()), int(unsure.sum()), *raised)


def _raised(names: NDArray[np.object_], wrong: BoolArray, judged: BoolArray) -> dict[str, float]:
    """The factor of each named group whose error rate is above the overall one beyond chance."""
    found: dict[str, float] = {}
    for name in sorted(set(names[judged]) - {""}) if wrong[judged].any() else ():
        of_it = judged & (names == name)
        low = proportion(int(wrong[of_it].sum()), int(of_it.sum())).low
        if of_it.sum() >= MIN_PAIRS and low is not None and low > wrong[judged].mean():
            found[name] = min(CATEGORY, float(low / wrong[judged].mean()))
    return found
