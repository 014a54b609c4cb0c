"""Shares of judgements in cells (two models, a week, ...), where judgements of one thing go together.

Several people judge a pair, and a prompt has several pairs, so a share of n judgements is less sure than n coins. Its variance is
taken over clusters by linearisation; the interval is Wilson's (1927) at the effective sample size: n by the variance of n
independent judgements over this one, adjusted for the number of clusters and never above n (Korn & Graubard 1998, Survey Methodology 24, 193-201). Where all judgements of a cell say
the same, its effective size is the number of its clusters.
"""

import numpy as np
from scipy.stats import t as student

from core.agreement import proportion
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray

NONE = "There is no such judgement yet."


def shares(
    value: FloatArray, cell: IntArray, cells: int, cluster: IntArray, what: str = "pair"
) -> list[Estimate]:
    """The mean of ``value`` (0 to 1) in each of ``cells`` cells; ``n`` counts judgements.

    ``value``, ``cell``, ``cluster``: shape (n,), the latter two codes from 0. ``what``: a cluster, in words.
    """
    n = np.bincount(cell, minlength=cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, value, cells) / n
        both, place = np.unique(cell * (cluster.max(initial=0) + 1) + cluster, return_inverse=True)
        inside = np.zeros(len(both), dtype=np.int64)
        inside[place] = cell
        groups = np.bincount(inside, minlength=cells)
        sums = np.bincount(place, value - mean[cell], len(both))
        variance = np.bincount(inside, sums**2, cells) / n**2 * groups / (groups - 1)
        adjusted = (student.ppf(0.975, n - 1) / student.ppf(0.975, groups - 1)) ** 2
        effective = np.fmin(n / (n - 1) * mean * (1 - mean) / variance * adjusted, n)
    effective = np.where((mean == 0) | (mean == 1), groups, effective)
    return [
        _share(float(mean[i]), int(n[i]), int(groups[i]), float(effective[i]), what) for i in range(cells)
    ]


def _share(mean: float, n: int, groups: int, effective: float, what: str) -> Estimate:
    if not n:
        return Estimate.unavailable(NONE)
    if groups < 2:
        return Estimate(mean, None, None, n, reason=f"All of it is about one {what}; an interval needs two.")
    found = proportion(mean * effective, effective)
    return Estimate(mean, found.low, found.high, n)
