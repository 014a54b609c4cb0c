"""Drift by cluster: how the share of a cluster, and how a vote predictor does in it, differ between two windows.

Rows that share a group (a prompt, or a text that stands there several times) are alike. Shares are therefore made, and tested, on
effective counts: rows over their design effect (Rao & Scott 1992, Biometrics 48, 577-585), which is what the grouping does to the variance
where nothing differs. Where no two rows are alike it is 1, and the test of two shares is Fisher's exact one. P-values are adjusted over
clusters, each kind of figure for itself, by Benjamini & Hochberg (1995, JRSS B 57, 289-300); where nothing changed in any cluster, that
is also the chance of any alarm.

All this holds for clusters that were found without a look at the windows and at the errors, on both windows together.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import scipy

from core.agreement import proportion
from core.bootstrap import DRAWS
from core.calibration import Predictions, report
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray
from core.two_samples import BoolArray

ALPHA = 0.05
LEAST = 5
"""Groups below which a mean has no interval worth the name."""
TINY = 1e-10
"""A standard error that is rounding and nothing else."""
NOWHERE = "No row of this cluster has it."


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """What is known of each row; every array has shape (n,).

    ``after``: whether the row is in the second window. ``group``: codes. Of a predictor that was asked about the row: ``error``, 1 where
    people were on the other side; ``gap``, its confidence less the share of people on its side; ``flip``, 1 where another predictor is on
    the other side. NaN where not known.
    """

    after: BoolArray
    group: IntArray
    error: FloatArray
    gap: FloatArray
    flip: FloatArray

    @classmethod
    def of(
        cls,
        after: BoolArray,
        group: IntArray,
        *,
        error: FloatArray | None = None,
        probability: FloatArray | None = None,
        target: FloatArray | None = None,
        other: FloatArray | None = None,
    ) -> "Rows":
        """``probability`` and ``other``: two predictors' probabilities that the first answer is preferred; ``target``: the share of
        people who prefer it. ``error`` is taken from these where it is not given; a tie is no error."""
        unknown = np.full(len(after), np.nan)
        gap = flip = unknown
        if probability is not None:
            side = np.where(probability == 0.5, np.nan, np.sign(probability - 0.5))
            if target is not None:
                toward = np.where(probability < 0.5, 1 - target, target)
                gap = np.maximum(probability, 1 - probability) - toward
                wrong = np.where(target == 0.5, np.nan, side * np.sign(target - 0.5) < 0)
                wrong = np.where(np.isnan(side) | np.isnan(target), np.nan, wrong)
                error = wrong if error is None else np.where(np.isnan(error), wrong, error)
            if other is not None:
                flip = np.where(np.isnan(side * other), np.nan, (other - 0.5) * side < 0)
        return cls(after, group, unknown if error is None else error, gap, flip)


@dataclass(frozen=True, slots=True)
class Significance:
    """A p-value, and what it is once adjusted over the clusters."""

    p: float
    adjusted: float


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a cluster over both windows, and in each.

    ``change``: that it differs between the windows. ``apart``: that it differs from that of the other rows; of a calibration gap, from 0.
    None where there is no such test, or nothing to test.
    """

    whole: Estimate
    before: Estimate
    after: Estimate
    change: Significance | None = None
    apart: Significance | None = None


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of ``n`` rows: its share of each window, error rate, calibration gap (above 0 it is too sure) and flips."""

    cluster: int
    n: int
    share: Figure
    error: Figure
    gap: Figure
    flips: Figure


@dataclass(frozen=True, slots=True)
class CalibrationDrift:
    """The calibration gap and the ECE in each window, and the p-value that the predictor is off by the same in both.

    The test takes in the gap and its slope along the confidence, so a predictor that becomes too sure here and too shy there is found.
    """

    gap_before: Estimate
    gap_after: Estimate
    ece_before: Estimate
    ece_after: Estimate
    p_value: float | None
    reason: str | None = None


def by_cluster(label: IntArray, rows: Rows) -> list[Cluster]:
    """Every cluster, the one with the best evidence that its share changed first; ``label``: shape (n,), -1 for rows in none.

    Shares are of all rows of a window, those in no cluster too.
    """
    found = [_cluster(int(name), label == name, rows) for name in np.unique(label[label >= 0])]
    for kind in ("share", "error", "gap", "flips"):
        for test in ("change", "apart"):
            found = _adjusted(found, kind, test)
    return sorted(found, key=lambda c: (c.share.change.p if c.share.change else 2.0, -c.n))


def alarms(clusters: Sequence[Cluster], alpha: float = ALPHA) -> list[Cluster]:
    """The clusters whose share changed, by their adjusted p-values."""
    return [c for c in clusters if c.share.change and c.share.change.adjusted <= alpha]


def labels(code: IntArray, after: BoolArray, group: IntArray) -> list[Figure]:
    """The share of each label, 0 to its largest code, in each window, with adjusted p-values of their changes."""
    found = [_shares(code == one, after, group) for one in range(int(code.max(initial=-1)) + 1)]
    adjusted = _benjamini_hochberg([one.change for one in found])
    return [replace(one, change=change) for one, change in zip(found, adjusted, strict=True)]


def calibration(
    p: FloatArray, y: FloatArray, after: BoolArray, group: IntArray, draws: int = DRAWS
) -> CalibrationDrift:
    """Whether a predictor is off in the same way in both windows; ``p``, ``y``: of rows that have both, shape (n,)."""
    turned = Predictions.of(p, y, None, group).turned() if len(p) else None
    nothing = Estimate.unavailable("No row of this window has a prediction and votes.")
    if turned is None or after.all() or not after.any():
        return CalibrationDrift(
            nothing, nothing, nothing, nothing, None, "Both windows need predictions of judged pairs."
        )
    gap, confidence = turned.p - turned.y, turned.p
    first, second = (_mean(gap[side], group[side]) for side in (~after, after))
    ece_before, ece_after = (
        report(turned.take(side), draws=draws).figures["ece"] for side in (~after, after)
    )
    groups = min(len(np.unique(group[side])) for side in (~after, after))
    p_value, reason = None, None
    if groups < 4 * LEAST:
        reason = f"A window has {groups} groups with predictions of judged pairs; the test needs {4 * LEAST}."
    else:
        p_value = _same_means(np.column_stack([gap, gap * (confidence - confidence.mean())]), after, group)
        if p_value is None:
            reason = "The predictions, or how far they are off, do not vary enough for a test."
    return CalibrationDrift(first, second, ece_before, ece_after, p_value, reason)


def two_shares(hit: BoolArray, second: BoolArray, group: IntArray) -> tuple[Estimate, Estimate, float | None]:
    """The share of hits in the first sample and in the ``second``, and the p-value that they are the same.

    All of shape (n,). Wilson's interval and Fisher's test, on effective counts. The p-value is None where a sample is empty.
    """
    effect = design_effect(hit, group)
    hits, sizes = (
        [float((of & side).sum()) for side in (~second, second)] for of in (hit, np.ones_like(hit))
    )
    first, last = (_proportion(k, n, effect) for k, n in zip(hits, sizes, strict=True))
    if not all(sizes):
        return first, last, None
    table = [
        [round(k / effect), max(round(n / effect), 1) - round(k / effect)]
        for k, n in zip(hits, sizes, strict=True)
    ]
    return first, last, min(1.0, float(scipy.stats.fisher_exact(np.maximum(table, 0)).pvalue))


def design_effect(hit: BoolArray, group: IntArray) -> float:
    """By how much groups widen the variance of a share, 1 or more; what rows of a group have in common is taken from the hits.

    Where all rows are hits, or none is, those of a group are taken to be all alike.
    """
    if not len(hit):
        return 1.0
    sizes = np.bincount(group)
    groups = int((sizes > 0).sum())
    if sizes.max() == 1:
        return 1.0
    n, share = len(hit), float(hit.mean())
    if groups == 1:
        return float(n)
    if share in (0.0, 1.0):
        return float((sizes**2).sum() / n)
    off = np.bincount(group, hit - share)
    return max(1.0, float(off @ off) / (n * share * (1 - share)) * groups / (groups - 1))


def _cluster(name: int, inside: BoolArray, rows: Rows) -> Cluster:
    return Cluster(
        name,
        int(inside.sum()),
        _shares(inside, rows.after, rows.group),
        _rates(rows.error, inside, rows),
        _gap(rows.gap, inside, rows),
        _rates(rows.flip, inside, rows),
    )


def _shares(hit: BoolArray, after: BoolArray, group: IntArray) -> Figure:
    before, later, p = two_shares(hit, after, group)
    whole = _proportion(float(hit.sum()), len(hit), design_effect(hit, group))
    return Figure(whole, before, later, _unadjusted(p))


def _rates(value: FloatArray, inside: BoolArray, rows: Rows) -> Figure:
    known = ~np.isnan(value)
    inner = known & inside
    if not inner.any():
        nothing = Estimate.unavailable(NOWHERE)
        return Figure(nothing, nothing, nothing)
    hit = value == 1
    before, after, change = two_shares(hit[inner], rows.after[inner], rows.group[inner])
    _, _, apart = two_shares(hit[known], inside[known], rows.group[known])
    whole = _proportion(
        float(hit[inner].sum()), int(inner.sum()), design_effect(hit[inner], rows.group[inner])
    )
    return Figure(whole, before, after, _unadjusted(change), _unadjusted(apart))


def _gap(value: FloatArray, inside: BoolArray, rows: Rows) -> Figure:
    inner = inside & ~np.isnan(value)
    value, after, group = value[inner], rows.after[inner], rows.group[inner]
    whole, before, later = (
        _mean(value, group),
        _mean(value[~after], group[~after]),
        _mean(value[after], group[after]),
    )
    zero = None
    if whole.low is not None:
        error, df = _standard_error(value, group)
        zero = float(2 * scipy.stats.t.sf(abs(value.mean()) / error, df))
    both = before.low is not None and later.low is not None
    change = _same_means(value[:, None], after, group) if both else None
    return Figure(whole, before, later, _unadjusted(change), _unadjusted(zero))


def _proportion(hits: float, n: int | float, effect: float) -> Estimate:
    return replace(proportion(hits / effect, n / effect), n=int(n))


def _mean(value: FloatArray, group: IntArray) -> Estimate:
    """The mean with Student's interval, its variance over groups."""
    n = len(value)
    if not n:
        return Estimate.unavailable(NOWHERE)
    mean, groups = float(value.mean()), len(np.unique(group))
    if groups < LEAST:
        return Estimate(mean, None, None, n, reason=f"{groups} groups have it; an interval needs {LEAST}.")
    error, df = _standard_error(value, group)
    if error < TINY:
        return Estimate(mean, None, None, n, reason="It does not vary, so it has no interval.")
    half = float(scipy.stats.t.ppf(0.975, df)) * error
    return Estimate(mean, mean - half, mean + half, n)


def _standard_error(value: FloatArray, group: IntArray) -> tuple[float, int]:
    """Of the mean, over groups, with its degrees of freedom."""
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max()) + 1
    off = np.bincount(code, value - value.mean()) / len(value)
    return float(np.sqrt(off @ off * groups / (groups - 1))), groups - 1


def _same_means(values: FloatArray, after: BoolArray, group: IntArray) -> float | None:
    """Hotelling's test that the means of the columns, shape (n, k), are the same in both windows, its covariance over groups."""
    _, code = np.unique(group, return_inverse=True)
    groups = int(code.max()) + 1
    influence = np.zeros((groups, values.shape[1]))
    difference = np.zeros(values.shape[1])
    for side, sign in ((after, 1), (~after, -1)):
        mean = values[side].mean(0)
        difference += sign * mean
        np.add.at(influence, code[side], sign * (values[side] - mean) / side.sum())
    covariance = influence.T @ influence * groups / (groups - 1)
    k, df = values.shape[1], min(len(np.unique(code[side])) for side in (after, ~after)) - 1
    if np.linalg.matrix_rank(covariance, TINY**2) < k or df <= k:
        return None
    squared = float(difference @ np.linalg.solve(covariance, difference))
    return float(scipy.stats.f.sf(squared * (df - k + 1) / (df * k), k, df - k + 1))


def _unadjusted(p: float | None) -> Significance | None:
    return None if p is None else Significance(p, p)


def _adjusted(clusters: list[Cluster], kind: str, test: str) -> list[Cluster]:
    figures = [getattr(cluster, kind) for cluster in clusters]
    adjusted = _benjamini_hochberg([getattr(figure, test) for figure in figures])
    return [
        replace(cluster, **{kind: replace(figure, **{test: one})})
        for cluster, figure, one in zip(clusters, figures, adjusted, strict=True)
    ]


def _benjamini_hochberg(tests: Sequence[Significance | None]) -> list[Significance | None]:
    there = [test.p for test in tests if test]
    adjusted = iter(scipy.stats.false_discovery_control(there).tolist() if there else ())
    return [Significance(test.p, next(adjusted)) if test else None for test in tests]
