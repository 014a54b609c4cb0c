"""Shares and regressions over judgements that are not independent: of one prompt, or by one annotator, they are alike.

The variance is the two-way clustered sandwich of Cameron, Gelbach & Miller (2011), Robust inference with multiway clustering,
Journal of Business & Economic Statistics 29, 238-249: that clustered by prompt, plus that by annotator, less that by both
together, each with the factor G / (G - 1) for its G clusters; and Student's t on the smaller G less 1. A difference of estimates
may come out too small, or negative, so it is never taken for less than the smaller of the first two. (Never less than the larger,
as MacKinnon, Nielsen & Webb 2024 have it, made intervals of 95% hold in 96 to 97% of simulations here; so, they hold in 95%.)

An interval so made says how a figure would move with other prompts *and* other annotators. Of fewer than ``FEW`` annotators there
is no telling how others would be: the interval is then over prompts alone, and holds for these annotators.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, stdtrit

from core.agreement import proportion
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray

FEW = 10
"""Annotators below which the interval is over prompts alone."""

ONE_PROMPT = "All of this is of one prompt; an interval needs two prompts or more."
SEPARATED = "One side won every time, so the effect has no upper limit yet."
_STEPS = 50


@dataclass(frozen=True, slots=True, eq=False)
class Clusters:
    """Which prompt each row is of and which annotator it is by, shape (n,); codes from 0."""

    prompt: IntArray
    annotator: IntArray

    def take(self, rows: np.ndarray) -> "Clusters":
        return Clusters(self.prompt[rows], self.annotator[rows])

    def variances(self, scores: FloatArray) -> tuple[FloatArray, int]:
        """The variance of the sums of ``scores``, shape (n, k), one at a time, and the degrees of freedom; 0 of them where
        all rows are of one prompt."""
        by_prompt, prompts = _one_way(scores, self.prompt)
        by_annotator, annotators = _one_way(scores, self.annotator)
        if annotators < FEW:
            return by_prompt, prompts - 1
        both, _ = _one_way(scores, self.prompt * (int(self.annotator.max()) + 1) + self.annotator)
        variance = np.maximum(by_prompt + by_annotator - both, np.minimum(by_prompt, by_annotator))
        return variance, min(prompts, annotators) - 1


def share(values: FloatArray, clusters: Clusters, nothing: str) -> Estimate:
    """The mean of ``values`` in [0, 1], shape (n,), with Wilson's interval (1927) at the effective sample size: n by the variance of
    n independent judgements over this one, adjusted for the degrees of freedom (Korn & Graubard 1998, Survey Methodology 24,
    193-201). Where all say the same it is the number of clusters. ``n`` counts the rows; ``nothing`` is the
    reason where there are none."""
    n = len(values)
    if not n:
        return Estimate.unavailable(nothing)
    p = float(values.mean())
    variances, df = clusters.variances((values - p)[:, None] / n)
    if df < 1:
        return Estimate(p, None, None, n, reason=ONE_PROMPT)
    effective = df + 1.0
    if 0 < p < 1:
        adjusted = float(stdtrit(n - 1, 0.975) / stdtrit(df, 0.975)) ** 2
        effective = n / (n - 1) * p * (1 - p) / max(float(variances[0]), 1e-12) * adjusted
    limits = proportion(p * effective, effective)
    return Estimate(p, limits.low, limits.high, n)


def shares(values: FloatArray, cell: IntArray, cells: int, prompt: IntArray, nothing: str) -> list[Estimate]:
    """The ``share`` in each of ``cells`` cells (two models, a week, ...), over prompts alone; ``cell``: shape (n,), codes from 0."""
    ends = np.cumsum(np.bincount(cell, minlength=cells))[:-1]
    parts = np.split(np.argsort(cell, kind="stable"), ends)
    clusters = Clusters(prompt, np.zeros_like(prompt))
    return [share(values[rows], clusters.take(rows), nothing) for rows in parts]


def difference(
    values: FloatArray, second: np.ndarray, clusters: Clusters, within: IntArray | None = None
) -> Estimate:
    """The mean of ``values`` over the rows where ``second``, less that over the others; ``second`` may also be any numbers, and
    this then is the slope on them. With ``within`` (codes, shape (n,)) only rows of one code are held against each other, by
    ordinary least squares with an intercept for each code. None where ``second`` never varies."""
    group = np.zeros(len(values), dtype=np.int64) if within is None else within
    x = _centred(np.asarray(second, dtype=np.float64), group)
    moment = float(x @ x)
    used = x != 0
    n = int(used.sum())
    if moment < 1e-9:
        return Estimate.unavailable("There is nothing to compare.", n)
    y = _centred(values, group)
    slope = float(x @ y) / moment
    variances, df = clusters.take(used).variances((x * (y - slope * x))[used, None] / moment)
    if df < 1:
        return Estimate(slope, None, None, n, reason=ONE_PROMPT)
    half = float(stdtrit(df, 0.975)) * float(np.sqrt(variances[0]))
    return Estimate(slope, slope - half, slope + half, n)


def logistic(x: FloatArray, y: FloatArray, clusters: Clusters) -> list[Estimate]:
    """The coefficients of a logistic regression of ``y`` (0 or 1) on the columns of ``x``, shape (n, k), without an intercept.

    Maximum likelihood by Newton's method. A column that never varies from 0 has no coefficient, nor has one that settles
    every row it is in; ``n`` counts the rows where the column is not 0.
    """
    n = (x != 0).sum(0)
    columns = np.flatnonzero(n)
    used = x[:, columns]
    beta = np.zeros(len(columns))
    information = np.eye(len(columns))
    for _ in range(_STEPS):
        p = expit(used @ beta)
        information = (used * (p * (1 - p))[:, None]).T @ used
        step = np.linalg.pinv(information, hermitian=True) @ (used.T @ (y - p))
        beta += step
        if np.abs(step).max(initial=0) < 1e-9:
            break
    inverse = np.linalg.pinv(information, hermitian=True)
    residual = y - expit(used @ beta)
    variances, df = clusters.variances((used * residual[:, None]) @ inverse)
    half = float(stdtrit(max(df, 1), 0.975)) * np.sqrt(variances)
    found = [Estimate.unavailable("The two answers never differ in this.") for _ in n]
    for place, column in enumerate(columns):
        value, count = float(beta[place]), int(n[column])
        if abs(value) * np.abs(used[:, place]).max() > 30:
            found[column] = Estimate.unavailable(SEPARATED, count)
        elif df < 1:
            found[column] = Estimate(value, None, None, count, reason=ONE_PROMPT)
        else:
            found[column] = Estimate(value, value - float(half[place]), value + float(half[place]), count)
    return found


def _one_way(scores: FloatArray, cluster: IntArray) -> tuple[FloatArray, int]:
    """The clustered variance of the sums of the columns of ``scores``, and the number of clusters."""
    _, code = np.unique(cluster, return_inverse=True)
    count = int(code.max(initial=-1)) + 1
    squares = [float((np.bincount(code, column, count) ** 2).sum()) for column in scores.T]
    return np.array(squares) * count / max(count - 1, 1), count


def _centred(values: FloatArray, group: IntArray) -> FloatArray:
    """``values`` less the mean of their group."""
    size = np.maximum(np.bincount(group), 1)
    return np.asarray(values - (np.bincount(group, values) / size)[group])
