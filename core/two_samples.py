"""Whether two samples come from one distribution: tests by permutation, whose p-values are right at any size.

Rows that share a group (a prompt, or a text that stands there several times) are alike, and must not be shuffled one by one:
:func:`one_each` takes one row of each, and the tests are made on those.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy

from core.agreement import Z
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray

BoolArray = npt.NDArray[np.bool_]
PERMUTATIONS = 499
MOST = 4000
"""Rows that a test takes at most, drawn at random: their distances take memory and time by the square."""
LEAST = 10
"""Rows that each window must have."""
FOLDS = 5

NO_SPREAD = (
    "All rows have one and the same vector, so there is nothing that could differ between the windows."
)
NO_INTERVAL = "It has no interval: hold it against the limit, below which it stays in 95 of 100 cases where nothing changed."


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a test found: its ``figure``, the ``limit`` below which that stays in 95 of 100 cases where nothing changed, and the
    p-value. Both are None where the figure cannot be computed, and then its ``reason`` says why; the limit is also None where the
    p-value is that of another figure."""

    figure: Estimate
    limit: float | None = None
    p_value: float | None = None

    @classmethod
    def unavailable(cls, reason: str, n: int = 0) -> "Evidence":
        return cls(Estimate.unavailable(reason, n))


def one_each(group: IntArray, seed: int = 0) -> IntArray:
    """One row of each group, drawn at random, in order; ``group``: codes, shape (n,)."""
    shuffled = np.random.default_rng(seed).permutation(len(group))
    _, first = np.unique(group[shuffled], return_index=True)
    return np.sort(shuffled[first])


def mmd(
    x: npt.NDArray[np.floating], after: BoolArray, permutations: int = PERMUTATIONS, seed: int = 0
) -> Evidence:
    """The maximum mean discrepancy of the rows ``after`` to the others (Gretton et al. 2012, JMLR 13, eq. 5).

    ``x``: shape (n, d). Gaussian kernel, its width the median distance between two rows.
    """
    rows = _some(after, seed)
    x, after = x[rows], after[rows]
    if reason := _too_few(after):
        return Evidence.unavailable(reason, len(x))
    squares = _squared_distances(np.asarray(x, dtype=np.float32))
    apart = squares[np.triu_indices(len(x), 1)]
    if not (apart > 1e-12).any():
        return Evidence.unavailable(NO_SPREAD, len(x))
    width = np.median(apart) or apart.mean()
    kernel = np.exp(-squares / (2 * width))
    kernel -= kernel.mean(0)
    kernel -= kernel.mean(1)[:, None]
    order = _orders(len(x), permutations, seed)
    weight = (after / after.sum() - ~after / (~after).sum()).astype(np.float32)[order]
    values = np.sqrt(np.maximum(((weight @ kernel) * weight).sum(1), 0))
    return _evidence(Estimate(float(values[0]), None, None, len(x), reason=NO_INTERVAL), values)


def classifier(
    x: npt.NDArray[np.floating], after: BoolArray, permutations: int = PERMUTATIONS, seed: int = 0
) -> Evidence:
    """How well a linear classifier tells the two samples apart: the area under its ROC curve, 0.5 if it cannot.

    The two-sample test of Lopez-Paz & Oquab (2017, ICLR), cross-fitted in FOLDS folds, by ridge regression on the window, which is
    solved for all permutations at once; so the p-value is by permutation, with the whole of the fitting in it. The area is the mean
    over the folds; its interval is that of DeLong, DeLong & Clarke-Pearson (1988), with the classifiers as they are.
    """
    rows = _some(after, seed)
    x, after = np.asarray(x[rows], dtype=np.float64), after[rows]
    if reason := _too_few(after):
        return Evidence.unavailable(reason, len(x))
    x = x - x.mean(0)
    ridge = float((x**2).sum() / x.shape[1])
    if ridge < 1e-12:
        return Evidence.unavailable(NO_SPREAD, len(x))
    labels = after[_orders(len(x), permutations, seed)].T
    fold = np.random.default_rng(seed).permutation(np.arange(len(x)) % FOLDS)
    pairs = np.zeros(labels.shape[1])
    wins = np.zeros(labels.shape[1])
    placed = np.full(len(x), np.nan)
    for k in range(FOLDS):
        test, train = fold == k, fold != k
        target = labels[train] - labels[train].mean(0)
        inside = x[train] - x[train].mean(0)
        inner = inside.T @ inside + ridge * np.eye(x.shape[1])
        scores = x[test] @ np.linalg.solve(inner, inside.T @ target)
        ranks = scipy.stats.rankdata(scores, axis=0)
        ones = labels[test]
        positive = ones.sum(0)
        wins += (ranks * ones).sum(0) - positive * (positive + 1) / 2
        pairs += positive * (len(scores) - positive)
        placed[test] = _placements(scores[:, 0], ones[:, 0])
    areas = wins / np.maximum(pairs, 1)
    value = float(areas[0])
    error = float(np.sqrt(sum(np.nanvar(placed[side], ddof=1) / side.sum() for side in (after, ~after))))
    low, high = max(0.0, value - Z * error), min(1.0, value + Z * error)
    return _evidence(Estimate(value, low, high, len(x)), areas)


def categories(code: IntArray, after: BoolArray, permutations: int = 9999, seed: int = 0) -> Evidence:
    """The total variation distance between the shares of categories in the two samples; ``code``: shape (n,).

    The p-value is that of Pearson's chi-squared over random tables with the same margins.
    """
    if reason := _too_few(after):
        return Evidence.unavailable(reason, len(code))
    names, code = np.unique(code, return_inverse=True)
    total = np.bincount(code)
    if len(names) == 1:
        return Evidence.unavailable(
            "Every row has the same label, so there is nothing that could differ.", len(code)
        )
    n = int(after.sum())
    drawn = np.random.default_rng(seed).multivariate_hypergeometric(total, n, permutations)
    tables = np.concatenate([np.bincount(code[after], minlength=len(names))[None], drawn])
    expected = total * n / len(code)
    chi = ((tables - expected) ** 2 / expected).sum(1)
    distance = np.abs(tables[0] / n - (total - tables[0]) / (len(code) - n)).sum() / 2
    reason = "It has no interval; the shares of the labels have."
    return Evidence(Estimate(float(distance), None, None, len(code), reason=reason), None, _p_value(chi))


def _some(after: BoolArray, seed: int) -> IntArray:
    """At most MOST rows, drawn without a look at the window."""
    n = len(after)
    rows = np.arange(n) if n <= MOST else np.sort(np.random.default_rng(seed).choice(n, MOST, replace=False))
    return np.asarray(rows, dtype=np.int64)


def _too_few(after: BoolArray) -> str | None:
    for count, which in ((int((~after).sum()), "first"), (int(after.sum()), "second")):
        if count < LEAST:
            return f"The {which} window has {count} rows that are not alike; the test needs {LEAST}."
    return None


def _orders(n: int, permutations: int, seed: int) -> IntArray:
    """Orders of n rows, the first of them as it is: shape (permutations + 1, n)."""
    drawn = np.tile(np.arange(n), (permutations + 1, 1))
    np.random.default_rng(seed).permuted(drawn[1:], axis=1, out=drawn[1:])
    return drawn


def _squared_distances(x: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    squares = (x * x).sum(1)
    found = squares[:, None] + squares - 2 * (x @ x.T)
    np.fill_diagonal(found, 0)
    return np.asarray(np.maximum(found, 0))


def _placements(scores: FloatArray, positive: BoolArray) -> FloatArray:
    """Of each score the share of the other sample's that are on the far side of it, ties by half; NaN where that is empty."""
    found = np.full(len(scores), np.nan)
    if positive.any() and not positive.all():
        ranks = scipy.stats.rankdata(scores)
        for side, sign in ((positive, 1), (~positive, -1)):
            within = scipy.stats.rankdata(scores[side])
            below = (ranks[side] - within) / (~side).sum()
            found[side] = below if sign == 1 else 1 - below
    return found


def _evidence(figure: Estimate, values: FloatArray) -> Evidence:
    """``values``: that of the data first, then those of the permutations."""
    return Evidence(figure, float(np.quantile(values, 0.95)), _p_value(values))


def _p_value(values: FloatArray) -> float:
    """The share of values as large as the first, itself included (Phipson & Smyth 2010)."""
    return float((values >= values[0] * (1 - 1e-9)).mean())
