"""The bootstrap by group, on sums: how far a figure would move with other groups (prompts, as a rule) of the same kind.

A figure that is a function of sums over rows, or over rows in cells (bins, categories), is resampled by reweighting the
sums of each group, never the rows. Beyond ``POOLS`` groups, groups are pooled at random into ``POOLS`` clusters first, which
leaves the variance of any sum right on average (random groups: Wolter 2007, Introduction to Variance Estimation, ch. 2).
"""

import numpy as np

from core.estimate import Estimate
from core.ratings import FloatArray, IntArray

DRAWS = 1000

POOLS = 1000
"""Clusters to draw from at most; so many leave 2% of noise on a standard error."""

ONE_GROUP = "All predictions are in one group; an interval needs two groups or more."


class Bootstrap:
    """The draws of one sample; every figure uses the same ones, so differences between figures are paired.

    ``group``: shape (n,), codes 0 to ``n_groups`` - 1.
    """

    def __init__(self, group: IntArray, n_groups: int, draws: int = DRAWS, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self.clusters = min(n_groups, POOLS)
        self.cluster = rng.permutation(np.arange(n_groups) % max(self.clusters, 1))[group]
        drawn = rng.integers(0, max(self.clusters, 1), (draws, self.clusters))
        drawn += np.arange(draws)[:, None] * self.clusters
        self.times = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(np.float64)

    def by_cluster(self, values: FloatArray, cell: IntArray | None = None, cells: int = 1) -> FloatArray:
        """Sums of ``values``, shape (n,), in each cluster and cell: shape (clusters, cells)."""
        code = self.cluster * cells + (0 if cell is None else cell)
        sums = np.bincount(code, values, self.clusters * cells)
        return np.asarray(sums.reshape(self.clusters, cells), dtype=np.float64)

    def sums(self, values: FloatArray, cell: IntArray | None = None, cells: int = 1) -> FloatArray:
        """Replicates of the sums of ``values`` in each cell: shape (draws, cells)."""
        return np.asarray(self.times @ self.by_cluster(values, cell, cells))

    def mean(self, values: FloatArray, weight: FloatArray) -> Estimate:
        """The weighted mean of ``values`` with its interval."""
        replicates = self.sums(weight * values)[:, 0] / self.sums(weight)[:, 0]
        return self.percentile(float(np.average(values, weights=weight)), replicates)

    def percentile(self, value: float, replicates: FloatArray) -> Estimate:
        """A value with the middle 95% of its replicates."""
        return self._estimate(value, *np.quantile(replicates, (0.025, 0.975)))

    def distance(self, value: float, replicates: FloatArray, centre: float | None = None) -> Estimate:
        """A distance in [0, 1]: as far to either side as its replicates reach upwards.

        Noise makes a distance too large, and a replicate's larger still. So the lower limit is the reverse percentile one
        (Davison & Hinkley 1997, eq. 5.6), which takes noise off, and the upper the percentile, which does not. ``centre``: what
        ``replicates`` vary about, where that is not ``value`` itself.
        """
        half = float(np.quantile(replicates, 0.975)) - (value if centre is None else centre)
        return self._estimate(value, max(0.0, value - half), min(1.0, value + half))

    def _estimate(self, value: float, low: float, high: float) -> Estimate:
        n = len(self.cluster)
        if self.clusters < 2:
            return Estimate(value, None, None, n, reason=ONE_GROUP)
        return Estimate(value, min(float(low), value), max(float(high), value), n)
