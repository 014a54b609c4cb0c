"""How good a vote predictor is, and which of two is better on the same pairs, with the uncertainty of both.

A prediction is the probability that answer a is preferred, an outcome the share of people who preferred it. Accuracy asks
whether the prediction is on the side of the outcome: a pair whose outcome is 1/2 has no side and is left out, and a
prediction of exactly 1/2 is half right. Log loss is the cross entropy with the outcome as it is, so a tie counts there.

Intervals are bootstrapped over groups, since pairs of one prompt are alike. Those made here are percentiles widened for few
groups, the "expanded percentile interval" of Hesterberg (2015), The American Statistician 69, 371-386.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy
from scipy.special import ndtr, stdtrit

from core.agreement import proportion
from core.bootstrap import ONE_GROUP, Bootstrap
from core.calibration import NOTHING, Predictions, log_losses, report
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray

ALL_TIED = "People preferred neither answer of any pair, so no prediction is right or wrong."


@dataclass(frozen=True, slots=True)
class Quality:
    """How good a predictor is: ``accuracy`` over the pairs whose outcome has a side; ``log_loss`` and ``ece`` (equal
    width) over all, as ``core.calibration`` has them."""

    accuracy: Estimate
    log_loss: Estimate
    ece: Estimate


@dataclass(frozen=True, slots=True, eq=False)
class Comparison:
    """A second predictor held against a first one on the same pairs.

    ``accuracy`` and ``log_loss``: the second's less the first's (a better second has more accuracy and less log loss).
    ``gained``, ``lost``: places of the pairs that the second alone, or the first alone, gets right.
    ``p_value``: the exact McNemar test that both are as likely; it takes the pairs for independent, so where prompts
    have several pairs the interval of ``accuracy`` is the one to go by. 1 where no pair flips.
    """

    accuracy: Estimate
    log_loss: Estimate
    gained: IntArray
    lost: IntArray
    p_value: float


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """What a number of ``labels`` gave; ``gain`` is the accuracy above that of the point before, paired."""

    labels: int
    accuracy: Estimate
    log_loss: Estimate
    gain: Estimate


def quality(predictions: Predictions, seed: int = 0) -> Quality:
    """Accuracy, log loss and ECE (of the pairs turned towards the predicted answer) of one predictor."""
    figures = report(predictions.turned(), seed=seed).figures
    return Quality(accuracy(predictions, seed), figures["log_loss"], figures["ece"])


def accuracy(predictions: Predictions, seed: int = 0) -> Estimate:
    """The share of pairs on whose preferred side the predictor is; ``n`` counts the pairs whose outcome has a side."""
    return share(predictions, right(predictions), seed, least=0)


def compare(first: Predictions, second: Predictions, seed: int = 0) -> Comparison:
    """Hold a second predictor against a first. Raises ValueError where outcomes, weights or groups differ."""
    for what in ("y", "weight", "group"):
        if not np.array_equal(getattr(first, what), getattr(second, what)):
            raise ValueError("The two predictors are to be compared on the same pairs, in the same order.")
    before, after = right(first), right(second)
    gained, lost = np.flatnonzero((before == 0) & (after == 1)), np.flatnonzero((before == 1) & (after == 0))
    flips = len(gained) + len(lost)
    return Comparison(
        share(first, after - before, seed, least=-1),
        _mean(first, log_losses(second.p, second.y) - log_losses(first.p, first.y), seed),
        gained,
        lost,
        float(scipy.stats.binomtest(len(gained), flips).pvalue) if flips else 1.0,
    )


def by_category(
    first: Predictions, second: Predictions, categories: Sequence[str], seed: int = 0
) -> dict[str, Comparison]:
    """``compare`` within each category (of length n), those of most pairs first; ``gained`` and ``lost`` are places in the whole."""
    names, code = np.unique(np.asarray(categories, dtype=str), return_inverse=True)
    found = {}
    for i in np.argsort(-np.bincount(code, minlength=len(names)), kind="stable"):
        rows = np.flatnonzero(code == i)
        part = compare(first.take(rows), second.take(rows), seed)
        found[str(names[i])] = replace(part, gained=rows[part.gained], lost=rows[part.lost])
    return found


def learning_curve(predictions: Mapping[int, Predictions], seed: int = 0) -> list[LearningPoint]:
    """A point for each number of labels trained on, in that order, all predicting the same held-out pairs.

    Raises ValueError where the pairs are not the same.
    """
    points = []
    before = None
    for labels in sorted(predictions):
        now = predictions[labels]
        gain = (
            Estimate.unavailable("This is the first point of the curve.")
            if before is None
            else compare(before, now, seed).accuracy
        )
        points.append(
            LearningPoint(labels, accuracy(now, seed), _mean(now, log_losses(now.p, now.y), seed), gain)
        )
        before = now
    return points


def right(predictions: Predictions) -> FloatArray:
    """For each pair 1 where the predictor is right, 0 wrong, 1/2 for a prediction of 1/2, NaN where the outcome is 1/2."""
    p, y = predictions.p, predictions.y
    return np.where(y == 0.5, np.nan, (1 + np.sign(p - 0.5) * np.sign(y - 0.5)) / 2)


def share(
    predictions: Predictions, values: FloatArray, seed: int = 0, least: int = 0, nowhere: str = ALL_TIED
) -> Estimate:
    """The mean of a share (``least`` 0), or of a difference of shares (-1), over the pairs where it is not NaN.

    ``nowhere``: why it cannot be computed where it is NaN everywhere. Where it does not vary the bootstrap says nothing; the limits are then Wilson's for the share of groups.
    """
    sided = np.flatnonzero(~np.isnan(values))
    if not len(sided) and len(values):
        return Estimate.unavailable(nowhere)
    part = predictions.take(sided)
    found = _mean(part, values[sided], seed)
    if found.value is None or found.low is None or found.low != found.high:
        return found
    wilson = proportion(abs(found.value) * part.n_groups, part.n_groups)
    assert wilson.low is not None and wilson.high is not None
    if found.value < 0:
        return replace(found, low=-wilson.high, high=-wilson.low)
    return replace(found, low=wilson.low if found.value else max(least, -wilson.high), high=wilson.high)


def _mean(predictions: Predictions, values: FloatArray, seed: int) -> Estimate:
    """The weighted mean of the pairs' values, shape (n,), with its interval over groups."""
    n, groups, weight = len(values), predictions.n_groups, predictions.weight
    if not n:
        return Estimate.unavailable(NOTHING)
    value = float(np.average(values, weights=weight))
    if groups < 2:
        return Estimate(value, None, None, n, reason=ONE_GROUP)
    draw = Bootstrap(predictions.group, groups, seed=seed)
    replicates = draw.sums(weight * values) / draw.sums(weight)
    tail = ndtr(np.sqrt(groups / (groups - 1)) * stdtrit(groups - 1, 0.025))
    low, high = np.quantile(replicates, [tail, 1 - tail])
    return Estimate(value, float(low), float(high), n)
