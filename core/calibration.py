"""How far predicted probabilities can be believed: calibration measures of binary predictions, each with a 95% interval.

``p`` is the predicted probability that the first answer is preferred; ``y`` is 1 where it was, 0 where it was not, and in
between where people were split (a tie is 0.5). Bins are [lo, hi), the last one closed. A weight counts a prediction that
many times in every mean.

Intervals are bootstrapped by group (:mod:`core.bootstrap`), with the bins where the data put them. That of a distance from
calibration reaches down to 0 unless calibration is rejected at 5%, since a bootstrap knows nothing of that boundary.

Null distributions take outcomes as independent draws with the predicted probabilities. A soft label with mean p varies at
most as much as such a draw, so with soft labels bands and p-values err towards calibration.
"""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import fft
from scipy.special import erfc, ndtr, ndtri, xlogy

from core.agreement import Z
from core.bootstrap import DRAWS, Bootstrap
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray

Binning = Literal["equal_width", "equal_mass"]

BINS = 15

FINE = 512
"""Cells of [0, 1] on which smooth ECE and Kolmogorov-Smirnov are resampled."""

EXACT = 1000
"""Predictions in a bin up to which its null distribution is drawn one by one; beyond, it is taken as normal."""

TINY = float(np.finfo(np.float64).eps)

NAMES = {
    "ece": "ECE, equal width",
    "ece_equal_mass": "ECE, equal mass",
    "ece_debiased": "ECE, debiased",
    "smooth_ece": "Smooth ECE",
    "mce": "MCE",
    "brier": "Brier score",
    "reliability": "Brier: reliability",
    "resolution": "Brier: resolution",
    "uncertainty": "Brier: uncertainty",
    "log_loss": "Log loss",
    "spiegelhalter_z": "Spiegelhalter’s Z",
    "kolmogorov_smirnov": "Kolmogorov-Smirnov",
}
"""Every figure of a report, in order, and what to call it."""

BINNED = ("ece", "ece_equal_mass", "ece_debiased", "mce", "reliability")
UNBINNED = ("smooth_ece", "kolmogorov_smirnov")
"""The distances from calibration, by the test (the null ECE's, Kolmogorov-Smirnov's) that says whether 0 can be ruled out."""

NOTHING = "There are no predictions with an outcome yet."


@dataclass(frozen=True, slots=True, eq=False)
class Predictions:
    """Predictions with their outcomes, checked.

    ``p``, ``y``, ``weight``: shape (n,). ``group``: shape (n,), codes 0 to ``n_groups`` - 1.
    """

    p: FloatArray
    y: FloatArray
    weight: FloatArray
    group: IntArray
    n_groups: int

    @classmethod
    def of(
        cls,
        p: npt.ArrayLike,
        y: npt.ArrayLike,
        weight: npt.ArrayLike | None = None,
        groups: Sequence[Hashable] | npt.NDArray[np.generic] | None = None,
    ) -> "Predictions":
        """Check and gather predictions; without ``weight`` all weigh 1, without ``groups`` each is its own.

        Raises ValueError where lengths differ, a p or y is not a number between 0 and 1, or a weight is not positive.
        """
        prediction, outcome = probabilities(p, "predicted probability"), probabilities(y, "outcome")
        n = len(prediction)
        weights = np.ones(n) if weight is None else np.asarray(weight, dtype=np.float64)
        names = np.arange(n) if groups is None else np.asarray(groups)
        for what, values in (("outcomes", outcome), ("weights", weights), ("groups", names)):
            if values.shape != (n,):
                raise ValueError(f"{n} predictions have {what} of shape {values.shape}; give one for each.")
        bad = ~(np.isfinite(weights) & (weights > 0))
        if bad.any():
            row = int(bad.argmax())
            raise ValueError(f"The weight at position {row} is {weights[row]}; it must be a positive number.")
        kinds, code = np.unique(names, return_inverse=True)
        return cls(prediction, outcome, weights, code.astype(np.int64), len(kinds))

    def take(self, rows: npt.NDArray[np.generic]) -> "Predictions":
        """The predictions of some rows (indices or a mask)."""
        return Predictions.of(self.p[rows], self.y[rows], self.weight[rows], self.group[rows])

    def turned(self) -> "Predictions":
        """Every pair turned towards the answer that is predicted to win, so that p is 1/2 or more.

        Which answer is called a says nothing, or is what people chose: of those pairs every outcome is 1, and a calibration
        error measures nothing. Accuracy, log loss and Brier score stay what they are.
        """
        b = self.p < 0.5
        p, y = np.where(b, 1 - self.p, self.p), np.where(b, 1 - self.y, self.y)
        return Predictions.of(p, y, self.weight, self.group)

    def with_p(self, p: npt.ArrayLike) -> "Predictions":
        """The same outcomes with other predictions."""
        return Predictions.of(p, self.y, self.weight, self.group)

    def __len__(self) -> int:
        return len(self.p)


class Null(NamedTuple):
    """The ECE of a perfectly calibrated predictor that says the same probabilities: its mean and 95th percentile over
    simulated outcomes, and how often it is at least the measured one (a p-value)."""

    mean: float
    p95: float
    p_value: float


@dataclass(frozen=True, slots=True, eq=False)
class Reliability:
    """A reliability diagram: one entry for each bin that is not empty.

    ``low``, ``high``: the bin's edges. ``predicted``: the weighted mean of p. ``observed``: that of y, with Wilson's interval
    on the effective sample size of the groups. ``band_low``, ``band_high``: where it falls 95% of the time for a calibrated
    predictor (Broecker & Smith 2007, Weather and Forecasting 22, 651-661; here with the predictions held). ``rows``: which
    predictions are in the bin.
    """

    low: FloatArray
    high: FloatArray
    predicted: FloatArray
    observed: tuple[Estimate, ...]
    band_low: FloatArray
    band_high: FloatArray
    rows: tuple[IntArray, ...]
    ece: float
    null: Null


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """Every calibration figure (``NAMES``); the two p-values and the diagram, None without predictions."""

    figures: Mapping[str, Estimate]
    spiegelhalter_p: float | None
    kolmogorov_smirnov_p: float | None
    reliability: Reliability | None


@dataclass(frozen=True, slots=True, eq=False)
class RiskCoverage:
    """The error rate among the most confident predictions: entry i decides the share ``coverage[i]`` whose confidence,
    max(p, 1 - p), is ``confidence[i]`` or more. Equally confident predictions are decided together."""

    coverage: FloatArray
    confidence: FloatArray
    risk: tuple[Estimate, ...]


def probabilities(values: npt.ArrayLike, what: str) -> FloatArray:
    """The values as shape (n,); ValueError, naming the position, unless each is a number between 0 and 1."""
    found = np.asarray(values, dtype=np.float64)
    if found.ndim != 1:
        raise ValueError(f"Each {what} must be one number; the array has shape {found.shape}.")
    bad = ~((found >= 0) & (found <= 1))
    if bad.any():
        row = int(bad.argmax())
        raise ValueError(f"The {what} at position {row} is {found[row]}; it must be between 0 and 1.")
    return found


def log_losses(p: FloatArray, y: FloatArray) -> FloatArray:
    """-y log p - (1 - y) log(1 - p) of each prediction, p kept a rounding error away from 0 and 1; shape (n,)."""
    kept = np.clip(p, TINY, 1 - TINY)
    return np.asarray(-xlogy(y, kept) - xlogy(1 - y, 1 - kept))


def report(predictions: Predictions, bins: int = BINS, draws: int = DRAWS, seed: int = 0) -> Report:
    """Every measure of calibration, on equal-width bins where nothing else is said.

    - ``ece``, ``ece_equal_mass``; ``mce``: the weighted mean and the maximum over bins of ``|mean p - mean y|`` (Naeini et al.
      2015). Equal-mass bins hold equal numbers of predictions, but never part equal ones.
      The interval of ``mce`` is from Wilson's of all bins at once (Bonferroni): the bootstrap fails at a maximum over bins.
    - ``ece_debiased``: on equal-mass bins, less what noise in the observed shares makes of it: twice the plain value minus
      its expectation under more such noise, not below 0 (Kumar et al. 2019, Verified Uncertainty Calibration; Roelofs et al.
      2022). It has the interval of ``ece_equal_mass``: they estimate the same.
    - ``smooth_ece``: Blasiok & Nakkiran 2023, reflected Gaussian kernel, its width equal to the value.
    - ``brier`` = ``reliability`` - ``resolution`` + ``uncertainty``, exactly: resolution takes in the (co)variance within bins
      (Stephenson, Coelho & Jolliffe 2008, Weather and Forecasting 23, 752-757).
    - ``spiegelhalter_z``: Spiegelhalter 1986; standard normal under calibration.
    - ``kolmogorov_smirnov``: the largest ``|sum of (y - p)|`` over all p below some value, as a share of all weight (ECCE-MAD of
      Arrieta-Ibarra et al. 2022, JMLR 23(351)); its p-value is that of the maximum of ``|Brownian motion|``.
    """
    if not len(predictions):
        return Report({name: Estimate.unavailable(NOTHING) for name in NAMES}, None, None, None)
    p, y, w = predictions.p, predictions.y, predictions.weight
    draw = Bootstrap(predictions.group, predictions.n_groups, draws, seed)
    width, mass = (_Binned.of(predictions, binning, bins) for binning in ("equal_width", "equal_mass"))
    figures = {
        "ece": draw.distance(float(_ece(width.sums)), _ece(width.resampled(draw))),
        "ece_equal_mass": draw.distance(float(_ece(mass.sums)), _ece(mass.resampled(draw))),
        "mce": _mce(width),
        "brier": draw.mean((p - y) ** 2, w),
        "log_loss": draw.mean(log_losses(p, y), w),
    }
    figures["ece_debiased"] = _debiased(mass, figures["ece_equal_mass"])
    parts = _murphy(width.sums, w @ y**2)
    again = _murphy(width.resampled(draw), draw.sums(w * y**2)[:, 0])
    for name, value, replicates in zip(("reliability", "resolution"), parts, again, strict=False):
        figures[name] = draw.distance(float(value), replicates)
    figures["uncertainty"] = draw.percentile(float(parts[2]), again[2])
    figures["spiegelhalter_z"], spiegelhalter_p = _spiegelhalter(predictions, draw)
    figures["smooth_ece"], figures["kolmogorov_smirnov"] = _unbinned(predictions, draw)
    diagram = _reliability(width, draws, seed)
    walk_p = _brownian_p(_furthest(predictions), float(np.sqrt(w**2 @ (p * (1 - p))) / w.sum()))
    for names, p_value in ((BINNED, diagram.null.p_value), (UNBINNED, walk_p)):
        if p_value > 0.05:
            figures |= {name: replace(figures[name], low=figures[name].low and 0.0) for name in names}
    return Report({name: figures[name] for name in NAMES}, spiegelhalter_p, walk_p, diagram)


def reliability(
    predictions: Predictions,
    binning: Binning = "equal_width",
    bins: int = BINS,
    draws: int = DRAWS,
    seed: int = 0,
) -> Reliability:
    """The bins of a reliability diagram; ``draws`` simulations under the null. ValueError without predictions."""
    if not len(predictions):
        raise ValueError(NOTHING)
    return _reliability(_Binned.of(predictions, binning, bins), draws, seed)


def risk_coverage(predictions: Predictions, points: int = 50, seed: int = 0) -> RiskCoverage:
    """The share of wrong decisions (the likelier answer against y) among the most confident predictions.

    A soft y is wrong in part, and p = 0.5 is wrong by half. At most ``points`` levels of coverage, the last one all. The
    intervals are Wilson's on the effective sample size of the groups. ValueError without predictions.
    """
    if not len(predictions):
        raise ValueError(NOTHING)
    p, y, w = predictions.p, predictions.y, predictions.weight
    confidence = np.maximum(p, 1 - p)
    wrong = np.select([p > 0.5, p < 0.5], [1 - y, y], 0.5)
    order = np.argsort(-confidence, kind="stable")
    last = np.flatnonzero(np.diff(confidence[order], append=-1))
    wanted = np.ceil(len(p) * np.arange(1, points + 1) / points).astype(np.int64) - 1
    ends = last[np.unique(np.searchsorted(last, wanted))]
    cell = np.empty(len(p), dtype=np.int64)
    cell[order] = np.searchsorted(ends, np.arange(len(p)))
    draw = Bootstrap(predictions.group, predictions.n_groups, 0, seed)
    decided, errors = (draw.by_cluster(v, cell, len(ends)).cumsum(1) for v in (w, w * wrong))
    total = decided.sum(0)
    risk = errors.sum(0) / total
    variance = ((errors - risk * decided) ** 2).sum(0) / total**2
    kish = total**2 / np.bincount(cell, w**2).cumsum()
    first = np.full(predictions.n_groups, len(ends))
    np.minimum.at(first, predictions.group, cell)
    groups = np.bincount(first, minlength=len(ends)).cumsum()
    return RiskCoverage(
        total / total[-1],
        confidence[order][ends],
        _estimates(risk, _effective(risk, variance, kish, groups), ends + 1),
    )


def by(
    predictions: Predictions, keys: Sequence[str], bins: int = BINS, draws: int = DRAWS, seed: int = 0
) -> dict[str, Report]:
    """A report for the predictions of each key (a category, a week), keys in order; ``keys``: length n."""
    names, code = np.unique(np.asarray(keys, dtype=str), return_inverse=True)
    if code.shape != (len(predictions),):
        raise ValueError(f"{len(predictions)} predictions have {len(code)} keys; give one for each.")
    return {str(name): report(predictions.take(code == i), bins, draws, seed) for i, name in enumerate(names)}


class _Sums(NamedTuple):
    """Sums in each bin of w, wp, wy, wpp, wpy; each of shape (..., bins)."""

    w: FloatArray
    p: FloatArray
    y: FloatArray
    pp: FloatArray
    py: FloatArray


@dataclass(frozen=True, eq=False)
class _Binned:
    """Predictions in bins: ``cell``, shape (n,), is the bin of each; ``edges``, shape (bins + 1,)."""

    predictions: Predictions
    cell: IntArray
    edges: FloatArray

    @classmethod
    def of(cls, predictions: Predictions, binning: Binning, bins: int) -> "_Binned":
        if bins < 1:
            raise ValueError(f"There must be one bin or more, not {bins}.")
        n = len(predictions)
        if binning == "equal_width":
            inner = np.arange(1, bins) / bins
        else:
            starts = np.ceil(n * np.arange(1, bins) / bins).astype(np.int64)
            inner = np.unique(np.sort(predictions.p)[starts[starts < n]])
        cell = np.searchsorted(inner, predictions.p, side="right").astype(np.int64)
        return cls(predictions, cell, np.concatenate([[0.0], inner, [1.0]]))

    @property
    def bins(self) -> int:
        return len(self.edges) - 1

    def total(self, values: FloatArray) -> FloatArray:
        """Sums of ``values`` in each bin: shape (bins,)."""
        return np.bincount(self.cell, values, self.bins).astype(np.float64)

    @cached_property
    def terms(self) -> tuple[FloatArray, ...]:
        p, y, w = self.predictions.p, self.predictions.y, self.predictions.weight
        return w, w * p, w * y, w * p * p, w * p * y

    @cached_property
    def sums(self) -> _Sums:
        return _Sums(*(self.total(term) for term in self.terms))

    def resampled(self, draw: Bootstrap) -> _Sums:
        return _Sums(*(draw.sums(term, self.cell, self.bins) for term in self.terms))

    @cached_property
    def rows(self) -> list[IntArray]:
        """The predictions in each bin."""
        order = np.argsort(self.cell, kind="stable")
        return np.split(order, np.bincount(self.cell, minlength=self.bins).cumsum()[:-1])


def _ratio(over: FloatArray, under: FloatArray) -> FloatArray:
    """over / under, 0 where there is nothing under."""
    return np.divide(over, under, out=np.zeros_like(over), where=under > 0)


def _ece(sums: _Sums) -> FloatArray:
    return np.asarray(np.abs(sums.p - sums.y).sum(-1) / sums.w.sum(-1))


def _mce(binned: _Binned) -> Estimate:
    filled = np.flatnonzero(binned.sums.w > 0)
    predicted = (binned.sums.p / np.maximum(binned.sums.w, TINY))[filled]
    share, effective, _ = _shares(binned, filled)
    low, high = _wilson(share, effective, float(ndtri(1 - 0.025 / len(filled))))
    least = np.maximum(0, np.maximum(low - predicted, predicted - high))
    most = np.maximum(high - predicted, predicted - low)
    value = np.abs(share - predicted).max()
    return Estimate(float(value), float(least.max()), float(most.max()), len(binned.cell))


def _murphy(sums: _Sums, yy: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Reliability, resolution and uncertainty; ``yy``: the sum of wyy."""
    total = sums.w.sum(-1)
    reliability = _ratio((sums.p - sums.y) ** 2, sums.w).sum(-1) / total
    uncertainty = yy / total - (sums.y.sum(-1) / total) ** 2
    brier = (sums.pp.sum(-1) - 2 * sums.py.sum(-1) + yy) / total
    return reliability, reliability + uncertainty - brier, uncertainty


def _debiased(binned: _Binned, plain: Estimate) -> Estimate:
    """The debiased ECE, with the interval of the plain one. What more noise makes of a gap is a folded normal's mean."""
    sums, y, w = binned.sums, binned.predictions.y, binned.predictions.weight
    noise = np.sqrt(binned.total((w * (y - _ratio(sums.y, sums.w)[binned.cell])) ** 2))
    gap = np.abs(sums.p - sums.y)
    z = _ratio(gap, noise)
    noisier = gap * (1 - 2 * ndtr(-z)) + noise * np.sqrt(2 / np.pi) * np.exp(-(z**2) / 2)
    value = max(0.0, float((2 * gap - np.where(noise > 0, noisier, gap)).sum() / sums.w.sum()))
    if plain.low is None or plain.high is None:
        return replace(plain, value=value)
    return replace(plain, value=value, low=min(plain.low, value), high=max(plain.high, value))


def _spiegelhalter(predictions: Predictions, draw: Bootstrap) -> tuple[Estimate, float | None]:
    """Spiegelhalter's Z and its two-sided p-value."""
    p, y, w = predictions.p, predictions.y, predictions.weight
    excess, variance = w * (y - p) * (1 - 2 * p), w**2 * (1 - 2 * p) ** 2 * p * (1 - p)
    if not variance.any():
        reason = "Every prediction is 0, 0.5 or 1, where Spiegelhalter’s Z has nothing to compare."
        return Estimate.unavailable(reason, len(p)), None
    z = float(excess.sum() / np.sqrt(variance.sum()))
    replicates = _ratio(draw.sums(excess)[:, 0], np.sqrt(draw.sums(variance)[:, 0]))
    return draw.percentile(z, replicates), float(erfc(abs(z) / np.sqrt(2)))


def _unbinned(predictions: Predictions, draw: Bootstrap) -> tuple[Estimate, Estimate]:
    """Smooth ECE and the Kolmogorov-Smirnov distance; their replicates are computed on ``FINE`` cells of [0, 1]."""
    w = predictions.weight
    (one, left), (other, right) = _on_grid(predictions, FINE)
    clusters = draw.by_cluster(one, left, FINE) + draw.by_cluster(other, right, FINE)
    coarse, replicates = clusters.sum(0, keepdims=True), draw.times @ clusters
    total, totals = w.sum(keepdims=True), draw.sums(w)[:, 0]
    fine = np.zeros((1, 8 * FINE))
    for residual, cell in _on_grid(predictions, 8 * FINE):
        fine += np.bincount(cell, residual, 8 * FINE)
    smooth = draw.distance(
        float(_smooth_ece(fine, total)[0]),
        _smooth_ece(replicates, totals),
        float(_smooth_ece(coarse, total)[0]),
    )
    distances = np.abs(replicates.cumsum(1)).max(1) / totals
    distance = float(np.abs(coarse.cumsum(1)).max() / total[0])
    return smooth, draw.distance(_furthest(predictions), distances, distance)


def _on_grid(predictions: Predictions, cells: int) -> list[tuple[FloatArray, IntArray]]:
    """Residuals w(y - p), each shared between the two cells whose centres are next to its p: (part, cell) on either side."""
    place = np.clip(predictions.p * cells - 0.5, 0, cells - 1)
    left = np.minimum(place.astype(np.int64), cells - 2)
    residual, right = predictions.weight * (predictions.y - predictions.p), place - left
    return [(residual * (1 - right), left), (residual * right, left + 1)]


def _smooth_ece(residuals: FloatArray, total: FloatArray) -> FloatArray:
    """Smooth ECE of each row of residuals on the cells of [0, 1]: the kernel width sigma at which the mean size of the smoothed
    residuals is sigma, by bisection. A reflected Gaussian multiplies cosine coefficient k by exp(-(pi k sigma)^2 / 2).

    ``residuals``: shape (m, cells). ``total``: shape (m,), the sum of weights. Returns shape (m,), to 1e-4.
    """
    coefficients = fft.dct(residuals, axis=1)
    decay = (np.pi * np.arange(residuals.shape[1])) ** 2 / 2
    low, high = np.zeros(len(residuals)), np.ones(len(residuals))
    for _ in range(13):
        sigma = (low + high) / 2
        smoothed = fft.idct(coefficients * np.exp(-decay * sigma[:, None] ** 2), axis=1)
        wider = np.abs(smoothed).sum(1) / total > sigma
        low, high = np.where(wider, sigma, low), np.where(wider, high, sigma)
    return np.asarray((low + high) / 2)


def _furthest(predictions: Predictions) -> float:
    """The Kolmogorov-Smirnov distance between predictions and outcomes; equal predictions are one step."""
    order = np.argsort(predictions.p)
    residual = (predictions.weight * (predictions.y - predictions.p))[order]
    steps = np.diff(predictions.p[order], append=2) > 0
    return float(np.abs(residual.cumsum()[steps]).max() / predictions.weight.sum())


def _brownian_p(distance: float, spread: float) -> float:
    """P(max of |Brownian motion| on [0, 1] >= distance / spread) (Feller 1971, vol. II, X.5)."""
    if spread == 0:
        return float(distance == 0)
    if distance < spread / 4:
        return 1.0
    odd = 2 * np.arange(50) + 1
    terms = (-1.0) ** np.arange(50) / odd * np.exp(-((odd * np.pi * spread / distance) ** 2) / 8)
    return float(np.clip(1 - 4 / np.pi * terms.sum(), 0, 1))


def _reliability(binned: _Binned, draws: int, seed: int) -> Reliability:
    filled = np.flatnonzero(binned.sums.w > 0)
    sums = _Sums(*(part[filled] for part in binned.sums))
    rows = [binned.rows[b] for b in filled]
    simulated = _null_sums(binned.predictions, rows, draws, seed)
    null_eces = np.abs(sums.p - simulated).sum(1) / sums.w.sum()
    ece = float(_ece(sums))
    bands = np.quantile(simulated / sums.w, (0.025, 0.975), axis=0)
    at_least = (1 + int((null_eces >= ece - 1e-12).sum())) / (1 + draws)
    return Reliability(
        binned.edges[filled],
        binned.edges[filled + 1],
        sums.p / sums.w,
        _estimates(*_shares(binned, filled)),
        bands[0],
        bands[1],
        tuple(rows),
        ece,
        Null(float(null_eces.mean()), float(np.quantile(null_eces, 0.95)), at_least),
    )


def _null_sums(predictions: Predictions, rows: Sequence[IntArray], draws: int, seed: int) -> FloatArray:
    """Sums of wy in each bin over outcomes drawn with the predicted probabilities: shape (draws, len(rows))."""
    rng = np.random.default_rng(seed)
    sums = np.empty((draws, len(rows)))
    for b, members in enumerate(rows):
        p, w = predictions.p[members], predictions.weight[members]
        if len(members) <= EXACT:
            sums[:, b] = (rng.random((draws, len(members)), dtype=np.float32) < p) @ w
        else:
            sums[:, b] = np.clip(rng.normal(w @ p, np.sqrt(w**2 @ (p * (1 - p))), draws), 0, w.sum())
    return sums


def _shares(binned: _Binned, filled: IntArray) -> tuple[FloatArray, FloatArray, IntArray]:
    """The observed share in each bin that is not empty, its effective sample size, and its number of predictions."""
    predictions, sums = binned.predictions, binned.sums
    share = _ratio(sums.y, sums.w)
    kinds, place = np.unique(binned.cell * predictions.n_groups + predictions.group, return_inverse=True)
    influence = np.bincount(place, predictions.weight * (predictions.y - share[binned.cell]))
    of = kinds // predictions.n_groups
    effective = _effective(
        share[filled],
        _ratio(np.bincount(of, influence**2, binned.bins).astype(np.float64), sums.w**2)[filled],
        _ratio(sums.w**2, binned.total(predictions.weight**2))[filled],
        np.bincount(of, minlength=binned.bins)[filled],
    )
    return share[filled], effective, np.bincount(binned.cell, minlength=binned.bins)[filled]


def _effective(share: FloatArray, variance: FloatArray, kish: FloatArray, groups: IntArray) -> FloatArray:
    """The effective sample size share (1 - share) / variance (Korn & Graubard 1998), at most Kish's (1965) for the weights; the
    number of groups where nothing varies."""
    varied = variance > 1e-12
    return np.minimum(kish, np.where(varied, share * (1 - share) / np.where(varied, variance, 1), groups))


def _wilson(share: FloatArray, n: FloatArray, z: float = Z) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval (1927)."""
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z * np.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return np.minimum(share, centre - half), np.maximum(share, centre + half)


def _estimates(share: FloatArray, effective: FloatArray, n: IntArray) -> tuple[Estimate, ...]:
    limits = _wilson(share, effective)
    return tuple(
        Estimate(float(s), float(low), float(high), int(count))
        for s, low, high, count in zip(share, *limits, n, strict=True)
    )
