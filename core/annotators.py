"""Annotators: how much each did, how fast, how far others bear them out, what they lean to, and whether they changed.

Intervals are of one annotator alone, the others taken as they are: Wilson's for shares (of agreement on the effective sample
size, as in ``core.agreement``), order statistics for medians (Conover 1999, Practical Nonparametric Statistics, 3.2), the
posterior of ``core.mace`` for reliability.

Whether somebody changed is tested by the largest deviation of the running sum of a series from a straight line, in units of
its standard deviation (Kolmogorov's distribution; Ploberger & Krämer 1992, The CUSUM test with OLS residuals, Econometrica 60,
271-285). That takes an annotator's judgements for exchangeable, so a change of the work itself is taken out: agreement is held
against how far the others of the same pair agree among themselves, time against the length of the answers. Of annotators
who do not change at most FALSE_ALARMS are said to, over all series of one (Bonferroni; Holm 1979 for each); in short series fewer.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy
from scipy.special import kolmogorov

from core import bias
from core.agreement import proportions
from core.bias import LENGTH, NO_COMPANY, NO_TIMES, POSITION, SKIM, ByAnnotator
from core.estimate import Estimate, Estimates
from core.judgements import Judgements
from core.mace import mace
from core.ratings import FloatArray, IntArray

FALSE_ALARMS = 0.05
ENOUGH = 20
"""Judgements from which on a change is looked for."""
WINDOW = 10
"""Judgements in a window of a time line, at least."""
WINDOWS = 8

LOWEST_FIRST = ("seconds", "agreement", "kappa", "gold", "reliability")
"""Figures of which one wants to know the low values first; of ``quick`` it is the high ones."""

NO_GOLD = "They have judged no gold pair; a lead marks pairs as gold on the Pairs page."
FEW_TIMES = "The interval of a median needs six judgements."
ONE_CHOICE = "Everybody made the same choice, so agreement by chance is 1."


@dataclass(frozen=True, slots=True, eq=False)
class Profiles:
    """All annotators, each column of shape (n_annotators,).

    ``judged``: judgements; ``since`` and ``until``: the first and the last. ``figures``, by name: ``seconds`` (median), ``quick``
    (share beyond ``core.bias.SKIM``), ``agreement`` (share of the others of the same pair, averaged over judgements), ``kappa``
    (that beyond chance, at everybody's shares of choices), ``gold`` (share of gold pairs judged right), ``reliability``
    (``core.mace``), ``left`` and ``length``, of which ``leanings`` has the tests. ``changed``: the p-value of no change over all
    series, NaN where there is too little; ``changed_q``: adjusted over annotators (Benjamini & Hochberg 1995).
    """

    judged: IntArray
    since: npt.NDArray[np.datetime64]
    until: npt.NDArray[np.datetime64]
    figures: Mapping[str, Estimates]
    leanings: Mapping[str, ByAnnotator]
    changed: FloatArray
    changed_q: FloatArray

    def order(self, by: str) -> IntArray:
        """Whom to look at first: those whose whole interval is furthest on the worse side (of a leaning, the flagged before that),
        so that nobody is on top for having judged little. ``by``: a figure, or "judged" for the most work first."""
        if by == "judged":
            return np.argsort(-self.judged, kind="stable")
        figure, last = self.figures[by], np.isnan(self.figures[by].value)
        if by in self.leanings:
            leaning = self.leanings[by]
            beyond = np.maximum(figure.low - leaning.null, leaning.null - figure.high)
            return np.lexsort((-self.judged, -beyond, ~leaning.flagged, last))
        return np.lexsort((-self.judged, figure.high if by in LOWEST_FIRST else -figure.low, last))


@dataclass(frozen=True, slots=True, eq=False)
class Series:
    """One figure of one annotator over time.

    ``windows``: parts of equally many judgements, each with its first and last moment. ``p``: of no change, adjusted over the
    annotator's series, None where there is too little to tell; ``at``: when the change was, if there was one.
    """

    windows: tuple[tuple[np.datetime64, np.datetime64, Estimate], ...]
    p: float | None
    at: np.datetime64 | None


def profiles(judgements: Judgements) -> Profiles:
    """Every annotator, in the order of ``judgements.annotators``."""
    who, many = judgements.annotator, len(judgements.annotators)
    leanings = {name: bias.by_annotator(judgements, name) for name in (POSITION, LENGTH)}
    agreement = proportions(bias.company(judgements), who, many, NO_COMPANY)
    quick = np.where(np.isnan(judgements.seconds), np.nan, bias.reading(judgements) > SKIM)
    gold = judgements.gold[judgements.pair]
    right = np.where(judgements.first & (gold >= 0), judgements.choice == gold, np.nan)
    since, until = np.full((2, many), np.datetime64("NaT"), dtype="datetime64[us]")
    since[who[::-1]], until[who] = judgements.at[::-1], judgements.at
    figures = {
        "seconds": _medians(judgements.seconds, who, many, NO_TIMES),
        "quick": proportions(quick, who, many, NO_TIMES),
        "agreement": agreement,
        "kappa": _beyond_chance(judgements, agreement),
        "gold": proportions(right, who, many, NO_GOLD),
        "reliability": mace(judgements.ratings()).competence,
        **{name: leaning.share for name, leaning in leanings.items()},
    }
    p = np.array([_changes(values, who, many)[0] for values in _steady(judgements).values()])
    looked = (~np.isnan(p)).sum(0)
    changed = np.where(
        looked > 0, np.minimum(1, np.nanmin(np.vstack([p, np.ones(many)]), axis=0) * looked), np.nan
    )
    q = changed.copy()
    if looked.any():
        q[looked > 0] = scipy.stats.false_discovery_control(changed[looked > 0])
    return Profiles(np.bincount(who, minlength=many), since, until, figures, leanings, changed, q)


def timeline(judgements: Judgements, annotator: int) -> dict[str, Series]:
    """How an annotator's ``agreement``, ``pace`` (median seconds for 1,000 characters of both answers), ``left`` and ``length`` went."""
    mine = np.flatnonzero(judgements.annotator == annotator)
    count = min(WINDOWS, max(1, len(mine) // WINDOW))
    part = np.sort(np.arange(len(mine)) % count)
    seconds = 1000 / bias.reading(judgements)[mine]
    left, length = (values[mine] for values in _leaning(judgements).values())
    found = {
        "agreement": proportions(bias.company(judgements)[mine], part, count, NO_COMPANY),
        "pace": _medians(seconds, part, count, NO_TIMES),
        "left": proportions(left, part, count, bias.NO_SIDES),
        "length": proportions(length, part, count, bias.ALIKE),
    }
    edges = [(mine[part == i][0], mine[part == i][-1]) for i in range(count)] if len(mine) else []
    tests = {
        name: _changes(values[mine], np.zeros(len(mine), dtype=np.int64), 1)
        for name, values in _steady(judgements).items()
    }
    adjusted = _holm(np.array([float(p[0]) for p, _ in tests.values()]))
    return {
        name: Series(
            tuple((judgements.at[a], judgements.at[b], figure[i]) for i, (a, b) in enumerate(edges)),
            None if np.isnan(p) else float(p),
            None if np.isnan(p) else judgements.at[mine[int(tests[name][1][0])]],
        )
        for (name, figure), p in zip(found.items(), adjusted, strict=True)
    }


def _leaning(judgements: Judgements) -> dict[str, FloatArray]:
    """Whether the left, and whether the longer, answer is preferred."""
    values = bias.preferred(judgements)
    return {name: values[:, bias.TRAITS.index(name)] for name in (POSITION, LENGTH)}


def _steady(judgements: Judgements) -> dict[str, FloatArray]:
    """The series that are tested for change, with what changes in the work itself taken out; NaN where there is no value."""
    agreement = bias.company(judgements)
    counts = _votes(judgements)[judgements.pair]
    counts[np.arange(len(counts)), judgements.choice] -= 1
    others = counts.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        among = (counts * (counts - 1)).sum(1) / (others * (others - 1))
        time = np.log(judgements.seconds / np.maximum(judgements.marks[:, :, 0].sum(1), 1)[judgements.pair])
    told = (others > 1) & ~np.isnan(agreement)
    usual = float(among[told].mean()) if told.any() else 0.0
    return {
        "agreement": agreement - np.where(told, among, usual),
        "pace": np.where(np.isfinite(time), time, np.nan),
        **_leaning(judgements),
    }


def _votes(judgements: Judgements) -> FloatArray:
    """How many annotators made each choice on each pair, repeats left out, shape (n_pairs, len(CHOICES))."""
    ratings = judgements.ratings(judgements.first)
    cells = len(ratings.units), len(ratings.categories)
    code = ratings.unit * cells[1] + ratings.category
    return np.bincount(code, minlength=cells[0] * cells[1]).reshape(cells).astype(np.float64)


def _beyond_chance(judgements: Judgements, agreement: Estimates) -> Estimates:
    """Agreement beyond what everybody's shares of the choices would give, among judgements of pairs that several judged."""
    votes = _votes(judgements)
    shared = votes[votes.sum(1) > 1].sum(0)
    if not shared.any():
        return agreement
    chance = float((shared / shared.sum()) @ (shared / shared.sum()))
    if chance > 1 - 1e-12:
        nothing = np.full_like(agreement.value, np.nan)
        return Estimates(nothing, nothing, nothing, agreement.n, ONE_CHOICE)
    value, low, high = ((x - chance) / (1 - chance) for x in (agreement.value, agreement.low, agreement.high))
    return Estimates(value, low, high, agreement.n, agreement.missing)


def _medians(values: FloatArray, who: IntArray, many: int, missing: str) -> Estimates:
    """The median of each one's ``values`` that are not NaN, between two order statistics."""
    known = ~np.isnan(values)
    values, who = values[known], who[known]
    values = values[np.lexsort((values, who))]
    n = np.bincount(who, minlength=many)
    start = np.cumsum(n) - n
    rank = scipy.stats.binom.ppf(0.025, n, 0.5).astype(np.int64)

    def at(place: IntArray, there: npt.NDArray[np.bool_]) -> FloatArray:
        found = np.full(many, np.nan)
        found[there] = values[(start + place)[there]]
        return found

    middle = (at((n - 1) // 2, n > 0) + at(n // 2, n > 0)) / 2
    return Estimates(middle, at(rank - 1, rank > 0), at(n - rank, rank > 0), n, missing, FEW_TIMES)


def _changes(values: FloatArray, who: IntArray, many: int) -> tuple[FloatArray, IntArray]:
    """The p-value of no change of each one's values (in order of time, NaN left out), NaN below ENOUGH or where they are all the
    same, and the row after which the change would have come."""
    known = np.flatnonzero(~np.isnan(values))
    rows = known[np.argsort(who[known], kind="stable")]
    values, who = values[rows], who[rows]
    n = np.bincount(who, minlength=many)
    p, place = np.full(many, np.nan), np.zeros(many, dtype=np.int64)
    if not len(rows):
        return p, place
    centred = values - (np.bincount(who, values, many) / np.maximum(n, 1))[who]
    deviation = np.sqrt(np.bincount(who, centred**2, many))
    start = (np.cumsum(n) - n)[n > 0]
    before = np.cumsum(centred) - np.repeat((np.cumsum(centred) - centred)[start], n[n > 0])
    largest = np.zeros(many)
    largest[n > 0] = np.maximum.reduceat(np.abs(before), start)
    tested = (n >= ENOUGH) & (deviation > 1e-9)
    p[tested] = kolmogorov(largest[tested] / deviation[tested])
    peaks = np.flatnonzero(np.abs(before) >= largest[who] - 1e-12)
    place[who[peaks][::-1]] = rows[peaks][::-1]
    return p, place


def _holm(p: FloatArray) -> FloatArray:
    """Holm's adjustment of the p-values that are not NaN."""
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known])]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(steps)) if len(order) else steps
    return adjusted
