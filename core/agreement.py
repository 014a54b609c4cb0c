"""How far annotators agree: every coefficient with its 95% interval, or the reason it cannot be computed.

Only an annotator's first judgement of a unit counts, except in :func:`self_consistency`. Units are taken as a random
sample and annotators as fixed, so an interval says how the figure would move with other pairs, not other people.

The chance-corrected coefficients take the linearised variance over units of Gwet (2014), Handbook of Inter-Rater
Reliability, 4th ed., with Student's t on n - 1 degrees of freedom. Shares take Wilson's interval (1927) on the effective
sample size p(1 - p) / variance of Korn & Graubard (1998). Where units do not vary at all (everybody always agrees) the
linearised variance is nil and says nothing; the limits are then Wilson's for the share of agreement, with chance
agreement held fixed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.special import stdtrit

from core.estimate import Estimate, Estimates
from core.ratings import FloatArray, IntArray, Ratings

Z = 1.959963984540054
"""The 97.5% point of the normal distribution."""

MIN_SHARED = 10
"""Units two annotators must share before their kappa is computed: below, it is biased by more than a few hundredths."""

TARGETS = {
    "raw_agreement": 0.85,
    "cohen_kappa": 0.60,
    "fleiss_kappa": 0.60,
    "krippendorff_alpha": 0.80,
    "krippendorff_alpha_ordinal": 0.80,
    "gwet_ac1": 0.60,
    "confidence_weighted_agreement": 0.85,
    "self_consistency": 0.90,
}

Values = float | FloatArray

NO_OVERLAP = "No pair has two annotators."
ONE_PAIR = "Only one pair has two annotators; an interval needs two pairs or more."


def proportion(successes: float, n: float) -> Estimate:
    """The share ``successes / n`` with Wilson's score interval (Wilson 1927); ``n`` may be an effective sample size."""
    if n <= 0:
        return Estimate.unavailable("There is nothing to count yet.")
    return _estimate(successes / n, _wilson(successes / n, n), round(n))


def proportions(values: FloatArray, group: IntArray, groups: int, missing: str) -> Estimates:
    """The mean of each group's ``values`` in [0, 1], NaN left out, with Wilson's interval on the effective sample size.

    ``group``: shape (n,), codes 0 to ``groups`` - 1. ``missing``: the reason where a group has no value.
    """
    known = ~np.isnan(values)
    values, group = values[known], group[known]
    n = np.bincount(group, minlength=groups)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(group, values, groups) / n
        variance = np.bincount(group, values**2, groups) / n - mean**2
        effective = np.where(variance > 1e-12, n * mean * (1 - mean) / variance, n)
        low, high = _wilson(mean, effective)
    return Estimates(mean, low, high, n, missing)


def first_judgements(ratings: Ratings) -> Ratings:
    """The first judgement of each annotator on each unit, in order of unit, then annotator."""
    if (np.diff(_unit_rater(ratings)) > 0).all():
        return ratings
    ordered = _in_order(ratings)
    return _take(ordered, np.diff(_unit_rater(ordered), prepend=-1) > 0)


def unit_counts(ratings: Ratings) -> FloatArray:
    """How many annotators put each unit into each category: shape (n_units, n_categories)."""
    first = first_judgements(ratings)
    return _table(first.unit, first.category, len(first.units), len(first.categories))


def by_unit(ratings: Ratings) -> FloatArray:
    """The share of agreeing annotator pairs in each unit: shape (n_units,), NaN where fewer than two judged it."""
    counts = unit_counts(ratings)
    m = counts.sum(1)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(m >= 2, _agreeing(counts) / (m * (m - 1)), np.nan))


def raw_agreement(ratings: Ratings) -> Estimate:
    """The share of agreeing annotator pairs in a unit, averaged over units with two annotators or more."""
    shares = by_unit(ratings)
    shares = shares[~np.isnan(shares)]
    return _share(shares, np.ones_like(shares), NO_OVERLAP)


def confidence_weighted_agreement(ratings: Ratings) -> Estimate:
    """Raw agreement in which an annotator pair weighs the product of its two confidences.

    A unit weighs the mean of its annotator pairs' weights, so with equal confidences this is the raw agreement.
    Annotations without a confidence are left out.
    """
    first = first_judgements(ratings)
    given = ~np.isnan(first.confidence)
    if not given.any():
        return Estimate.unavailable("No annotation carries a confidence.")
    unit, category, weight = first.unit[given], first.category[given], first.confidence[given]
    shape = len(first.units), len(first.categories)
    sums, squares = _table(unit, category, *shape, weight), _table(unit, category, *shape, weight**2)
    m = np.bincount(unit, minlength=shape[0])
    sums, squares, m = sums[m >= 2], squares[m >= 2], m[m >= 2]
    agreeing = (sums**2 - squares).sum(1) / (m * (m - 1))
    total = (sums.sum(1) ** 2 - squares.sum(1)) / (m * (m - 1))
    return _share(agreeing, total, "No pair has two annotations that carry a confidence.")


def self_consistency(ratings: Ratings) -> Estimate:
    """How often an annotator who judges a unit again judges it the same way.

    The share of equal pairs among an annotator's judgements of one unit, averaged over the (annotator, unit) repeats,
    which are what ``n`` counts.
    """
    ordered = _in_order(ratings)
    repeat = np.cumsum(np.diff(_unit_rater(ordered), prepend=-1) > 0) - 1
    again = np.bincount(repeat)[repeat] >= 2
    repeats, index = np.unique(repeat[again], return_inverse=True)
    counts = _table(index, ordered.category[again], len(repeats), len(ordered.categories))
    m = counts.sum(1)
    shares = _agreeing(counts) / (m * (m - 1))
    return _share(shares, np.ones_like(shares), "No annotator has judged the same pair twice.")


def fleiss_kappa(ratings: Ratings) -> Estimate:
    """Fleiss' kappa (1971), in Gwet's generalisation to units with unequal numbers of annotators.

    Chance agreement is the sum of squared category shares, each unit with an annotation weighing the same.
    """
    counts = unit_counts(ratings)
    if not (counts.sum(1) >= 2).any():
        return Estimate.unavailable(NO_OVERLAP)
    used = counts.any(0)
    if used.sum() == 1:
        return _one_category("Everybody", ratings.categories[used.argmax()])
    shares = _unit_shares(counts)
    mean = shares.mean(0)
    return _chance_corrected(counts, float(mean @ mean), shares @ mean)


def gwet_ac1(ratings: Ratings) -> Estimate:
    """Gwet's AC1 (2008): chance agreement is sum p(1 - p) / (q - 1) over the q categories on offer."""
    q = len(ratings.categories)
    if q < 2:
        return Estimate.unavailable("Only one category is on offer, so there is nothing to disagree about.")
    counts = unit_counts(ratings)
    if not (counts.sum(1) >= 2).any():
        return Estimate.unavailable(NO_OVERLAP)
    shares = _unit_shares(counts)
    rest = 1 - shares.mean(0)
    return _chance_corrected(counts, float((1 - rest) @ rest) / (q - 1), shares @ rest / (q - 1))


def krippendorff_alpha(
    ratings: Ratings, level: Literal["nominal", "ordinal"] | FloatArray = "nominal"
) -> Estimate:
    """Krippendorff's alpha (2011, Computing Krippendorff's Alpha-Reliability), any number of annotators a unit.

    ``level``: "nominal"; "ordinal", with ``ratings.categories`` in ascending order; or squared distances between
    categories, shape (n_categories, n_categories), nil on the diagonal.
    The variance is Gwet's, with the ordinal distances' dependence on the data carried through (delta method); like his, it
    leaves out the small-sample factor 1 - ``epsilon`` of alpha, but keeps it in the term for unequal numbers of annotators.
    """
    counts = unit_counts(ratings)
    counts = counts[counts.sum(1) >= 2]
    if not len(counts):
        return Estimate.unavailable(NO_OVERLAP)
    used = counts.any(0)
    if used.sum() == 1:
        return _one_category("Everybody who shares a pair", ratings.categories[used.argmax()])
    if isinstance(level, np.ndarray) and not level[np.ix_(used, used)].any():
        return Estimate.unavailable("The distances between the categories used are all nil.")
    n, m = len(counts), counts.sum(1)
    weighted = counts / (m - 1)[:, None]
    coincidences = counts.T @ weighted - np.diag(weighted.sum(0))
    ratio, gradient = _disagreement_ratio(coincidences, level)
    epsilon = float(1 / m.sum())
    value = float(1 - (1 - epsilon) * ratio)
    influence = -((weighted @ gradient) * counts).sum(1) + weighted @ np.diag(gradient)
    influence -= epsilon * ratio * (m / m.mean() - 1) / n
    shares = counts.sum(0) / m.sum()
    agreement = 1 - (m / m.mean() * (1 - _agreeing(counts) / (m * (m - 1)))).mean()
    return _interval(value, influence * n, float(agreement), float(shares @ shares), n)


@dataclass(frozen=True, slots=True)
class KappaTable:
    """Cohen's kappa of every two annotators who share a unit; one row for each such two, ``rater_a`` < ``rater_b``.

    ``rater_a``, ``rater_b``: codes into the ratings' annotators. ``n``: units they share. ``value``, ``low``, ``high``:
    NaN where kappa cannot be computed; :meth:`estimate` says why. All of shape (n_rows,).
    """

    rater_a: IntArray
    rater_b: IntArray
    n: IntArray
    value: FloatArray
    low: FloatArray
    high: FloatArray
    min_shared: int

    def estimate(self, row: int) -> Estimate:
        """One row as an estimate, with the reason where there is no value."""
        n = int(self.n[row])
        if n < self.min_shared:
            return Estimate.unavailable(f"These two share {n} pairs; kappa needs {self.min_shared}.", n)
        if np.isnan(self.value[row]):
            reason = "Both chose one and the same category throughout, so agreement by chance is 1."
            return Estimate.unavailable(reason, n)
        return Estimate(float(self.value[row]), float(self.low[row]), float(self.high[row]), n)


def cohen_kappas(ratings: Ratings, min_shared: int = MIN_SHARED) -> KappaTable:
    """Cohen's kappa (1960) of every two annotators, with the standard error of Fleiss, Cohen & Everitt (1969)."""
    first = first_judgements(ratings)
    shared = _shared(first)
    a, b, n = (np.asarray(x, dtype=np.int64) for x in (shared.row, shared.col, shared.data))
    value, low, high = (np.full(len(n), np.nan) for _ in range(3))
    enough = n >= min_shared
    kappas = _Kappas.of(first, a[enough], b[enough])
    value[enough] = kappas.value
    low[enough], high[enough] = _limits(
        kappas.value, kappas.error, Z, kappas.agreement, kappas.chance, kappas.n
    )
    return KappaTable(a, b, n, value, low, high, min_shared)


def cohen_kappa(ratings: Ratings, min_shared: int = MIN_SHARED) -> Estimate:
    """The mean of Cohen's kappa over the annotator pairs that share ``min_shared`` units, weighted by units shared.

    The weights are those Barlow, Lai & Azen (1991) recommend for kappas from strata of unequal size. The variance is
    linearised over units, since annotator pairs that share a unit are not independent; with two annotators it is that of
    Fleiss, Cohen & Everitt (1969). ``n`` counts the units that entered.
    """
    first = first_judgements(ratings)
    shared = _shared(first)
    if not shared.nnz:
        return Estimate.unavailable(NO_OVERLAP)
    enough = shared.data >= min_shared
    if not enough.any():
        most = int(shared.data.max())
        reason = f"No two annotators share {min_shared} pairs yet; the most any two share is {most}."
        return Estimate.unavailable(reason)
    kappas = _Kappas.of(first, shared.row[enough], shared.col[enough])
    usable = kappas.chance < 1
    if not usable.any():
        reason = (
            "Annotators who share pairs all chose one and the same category, so agreement by chance is 1."
        )
        return Estimate.unavailable(reason)
    weight = np.where(usable, kappas.n, 0) / kappas.n[usable].sum()
    value = float(weight[usable] @ kappas.value[usable])
    influence = np.zeros(len(first.units))
    seen = np.zeros(len(first.units), dtype=bool)
    for unit, index, cell in _co_judgements(first, kappas.pairs):
        influence += np.bincount(
            unit, (weight / kappas.n)[index] * kappas.influence[index, cell], minlength=len(influence)
        )
        seen[unit[usable[index]]] = True
    n = int(seen.sum())
    error = float(np.sqrt(influence @ influence))
    agreement, chance = float(weight @ kappas.agreement), float(weight @ kappas.chance)
    return _estimate(value, _limits(value, error, Z, agreement, chance, n), n)


def agreement_report(ratings: Ratings, ordinal: Ratings | None = None) -> dict[str, Estimate]:
    """Every agreement figure by name, each with its target.

    ``ordinal``: the same pairs judged on an ordered scale (strength of preference), categories in ascending order; adds
    ``krippendorff_alpha_ordinal``.
    """
    ordered = _in_order(ratings)
    first = first_judgements(ordered)
    figures = {
        "raw_agreement": raw_agreement(first),
        "cohen_kappa": cohen_kappa(first),
        "fleiss_kappa": fleiss_kappa(first),
        "krippendorff_alpha": krippendorff_alpha(first),
        "gwet_ac1": gwet_ac1(first),
        "confidence_weighted_agreement": confidence_weighted_agreement(first),
        "self_consistency": self_consistency(ordered),
    }
    if ordinal is not None:
        figures["krippendorff_alpha_ordinal"] = (
            krippendorff_alpha(ordinal, "ordinal")
            if len(ordinal.unit)
            else Estimate.unavailable("No annotation carries a strength.")
        )
    return {name: figure.with_target(TARGETS[name]) for name, figure in figures.items()}


def _unit_rater(ratings: Ratings) -> IntArray:
    """A code for the unit and annotator of each judgement."""
    return ratings.unit * len(ratings.raters) + ratings.rater


def _in_order(ratings: Ratings) -> Ratings:
    """The judgements by unit, then annotator, then submission."""
    key = _unit_rater(ratings)
    return ratings if (np.diff(key) >= 0).all() else _take(ratings, np.argsort(key, kind="stable"))


def _take(ratings: Ratings, rows: npt.NDArray[Any]) -> Ratings:
    columns = {name: getattr(ratings, name)[rows] for name in ("unit", "rater", "category", "confidence")}
    return replace(ratings, **columns)


def _table(
    row: IntArray, column: IntArray, rows: int, columns: int, weights: FloatArray | None = None
) -> FloatArray:
    """Sums of weights (counts without) in each cell: shape (rows, columns)."""
    sums = np.bincount(row * columns + column, weights, minlength=rows * columns)
    return sums.reshape(rows, columns).astype(np.float64, copy=False)


def _agreeing(counts: FloatArray) -> FloatArray:
    """Ordered pairs of equal judgements in each row of a table of counts."""
    return np.asarray((counts * (counts - 1)).sum(1))


def _unit_shares(counts: FloatArray) -> FloatArray:
    """Each judged unit's shares of the categories."""
    m = counts.sum(1, keepdims=True)
    return np.asarray(counts[m[:, 0] > 0] / m[m > 0][:, None])


def _one_category(who: str, category: str) -> Estimate:
    return Estimate.unavailable(f"{who} chose “{category}”, so agreement by chance is 1.")


def _estimate(value: float, limits: tuple[FloatArray, FloatArray], n: int) -> Estimate:
    low, high = limits
    return Estimate(float(value), float(low), float(high), n)


def _wilson(p: Values, n: Values) -> tuple[FloatArray, FloatArray]:
    """Wilson's score interval of a share ``p`` of ``n``."""
    centre = (p + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z * np.sqrt(p * (1 - p) / n + Z**2 / (4 * n**2)) / (1 + Z**2 / n)
    return np.minimum(p, np.maximum(0, centre - half)), np.maximum(p, np.minimum(1, centre + half))


def _share(parts: FloatArray, weights: FloatArray, empty: str) -> Estimate:
    """The ratio sum(parts) / sum(weights) over units, Wilson's interval on the effective sample size."""
    n = len(parts)
    if n == 0:
        return Estimate.unavailable(empty)
    total = weights.sum()
    p = min(1.0, float(parts.sum() / total))
    residuals = parts - p * weights
    variance = float(residuals @ residuals / total**2)
    varies = variance > 1e-12 * p * (1 - p)
    effective = p * (1 - p) / variance if varies else float(total**2 / (weights @ weights))
    return _estimate(p, _wilson(p, effective), n)


def _chance_corrected(counts: FloatArray, chance: float, unit_chance: FloatArray) -> Estimate:
    """(agreement - chance) / (1 - chance) with Gwet's linearised variance.

    ``counts``: shape (n_units, n_categories), some unit with two annotators. ``unit_chance``: each judged unit's part in
    ``chance``, which is their mean.
    """
    m = counts.sum(1)
    counts, m = counts[m > 0], m[m > 0]
    several = m >= 2
    agreement = np.zeros(len(m))
    agreement[several] = _agreeing(counts[several]) / (m * (m - 1))[several]
    observed = float(agreement[several].mean())
    value = (observed - chance) / (1 - chance)
    linear = (agreement - chance * several) / several.mean() / (1 - chance) - value
    linear -= 2 * (1 - value) * (unit_chance - chance) / (1 - chance)
    return _interval(value, linear, observed, chance, int(several.sum()))


def _interval(value: float, influence: FloatArray, agreement: float, chance: float, n: int) -> Estimate:
    """The estimate whose units have these influences on its mean."""
    if n < 2:
        return Estimate(value, None, None, n, reason=ONE_PAIR)
    df = len(influence) - 1
    error = float(np.sqrt(influence @ influence / (len(influence) * df)))
    return _estimate(value, _limits(value, error, float(stdtrit(df, 0.975)), agreement, chance, n), n)


def _limits(
    value: Values, error: Values, quantile: float, agreement: Values, chance: Values, n: Values | IntArray
) -> tuple[FloatArray, FloatArray]:
    """95% limits of chance-corrected coefficients, within -1 and 1; Wilson's where the error is nil."""
    varies = np.asarray(error) > 1e-9
    wilson = _wilson(np.minimum(1.0, agreement), np.asarray(n, dtype=np.float64))
    with np.errstate(divide="ignore", invalid="ignore"):
        least, most = (1 - (1 - p) / (1 - np.asarray(chance)) for p in wilson)
    low = np.where(varies, value - quantile * error, least)
    high = np.where(varies, value + quantile * error, most)
    return np.minimum(value, np.maximum(-1, low)), np.maximum(value, np.minimum(1, high))


def _disagreement_ratio(
    coincidences: FloatArray, level: Literal["nominal", "ordinal"] | FloatArray
) -> tuple[float, FloatArray]:
    """Observed over expected disagreement as a function of the coincidence matrix, and its gradient (complex step)."""
    q = len(coincidences)

    def ratio(matrix: np.ndarray) -> complex:
        margin = matrix.sum(1)
        if isinstance(level, np.ndarray):
            distance = level
        elif level == "nominal":
            distance = 1 - np.eye(q)
        else:
            middle = np.cumsum(margin) - margin / 2
            distance = (middle[:, None] - middle) ** 2
        return complex((matrix * distance).sum() * margin.sum() / (margin @ distance @ margin))

    step = 1e-20j
    gradient = np.zeros((q, q))
    for cell in np.ndindex(q, q):
        nudge = np.zeros((q, q), dtype=complex)
        nudge[cell] = step
        gradient[cell] = ratio(coincidences + nudge).imag / abs(step)
    return ratio(coincidences).real, gradient


def _shared(first: Ratings) -> sparse.coo_array:
    """How many units each two annotators share: strictly upper triangle, shape (n_raters, n_raters)."""
    shape = len(first.units), len(first.raters)
    judged = sparse.csr_array(
        (np.ones(len(first.unit), dtype=np.int64), (first.unit, first.rater)), shape=shape
    )
    shared = judged.T.tocsr() @ judged
    shared.sort_indices()
    return sparse.triu(shared, k=1, format="coo")


def _co_judgements(first: Ratings, pairs: IntArray) -> Iterator[tuple[IntArray, IntArray, IntArray]]:
    """Every two judgements of one unit by annotators in ``pairs``: (unit, row in ``pairs``, cell of their table).

    ``pairs``: ascending codes a * n_raters + b with a < b.
    """
    raters, q = len(first.raters), len(first.categories)
    left = np.arange(len(first.unit))
    for distance in range(1, len(left)):
        left = left[: np.searchsorted(left, len(first.unit) - distance)]
        left = left[first.unit[left] == first.unit[left + distance]]
        if not len(left):
            return
        code = first.rater[left] * raters + first.rater[left + distance]
        index = np.searchsorted(pairs, code)
        index[index == len(pairs)] = 0
        among = pairs[index] == code
        i = left[among]
        yield first.unit[i], index[among], first.category[i] * q + first.category[i + distance]


@dataclass(frozen=True, slots=True)
class _Kappas:
    """Cohen's kappa of some annotator pairs, and the influence of each cell of their tables.

    ``pairs``: ascending codes a * n_raters + b. ``influence``: shape (n_pairs, n_categories ** 2). The rest: (n_pairs,);
    ``value`` is NaN where ``chance`` is 1.
    """

    pairs: IntArray
    n: IntArray
    agreement: FloatArray
    chance: FloatArray
    value: FloatArray
    error: FloatArray
    influence: FloatArray

    @classmethod
    def of(cls, first: Ratings, a: IntArray, b: IntArray) -> "_Kappas":
        q = len(first.categories)
        pairs = a.astype(np.int64) * len(first.raters) + b
        cells = np.zeros((len(pairs), q * q))
        for _, index, cell in _co_judgements(first, pairs) if len(pairs) else ():
            cells += _table(index, cell, *cells.shape)
        n = cells.sum(1)
        share = (cells / n[:, None]).reshape(-1, q, q)
        rows, columns = share.sum(2), share.sum(1)
        agreement = np.trace(share, axis1=1, axis2=2)
        chance = (rows * columns).sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = np.where(chance < 1, (agreement - chance) / (1 - chance), np.nan)
            by_chance = columns[:, :, None] + rows[:, None, :] - 2 * chance[:, None, None]
            above = np.eye(q) - agreement[:, None, None]
            influence = (above - (1 - value)[:, None, None] * by_chance) / (1 - chance)[:, None, None]
        influence[np.isnan(value)] = 0
        error = np.sqrt((share * influence**2).sum((1, 2)) / n)
        return cls(pairs, n.astype(np.int64), agreement, chance, value, error, influence.reshape(-1, q * q))
