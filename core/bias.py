"""Bias in the labels: how much a judgement owes to where an answer stands, how long it is, how it is laid out, or to haste.

Every figure but those of haste is about judgements that prefer an answer, and compares the preferred one with the other:

- its **share**: of the judgements on two answers that differ in a trait, how many prefer the one with more of it (the longer one,
  the one on the left); 1/2 where the trait does not matter;
- its **odds**: what doubling the trait multiplies the odds of being preferred by, the other traits held fixed, from a logistic
  regression of the preference on the differences in log2(1 + count) between the answers. For the left: the odds for it of two
  answers that are alike in the other traits.

Where response a stands left by a coin, nothing but position can make the left win more than half. Length and layout are not
dealt out so: a longer answer may win because it is better, so those figures tell what annotators reward, not a fault.

Intervals are clustered by prompt and annotator (``core.clustered``). Those of one annotator are Wilson's, and each annotator
gets an exact two-sided binomial test; who is flagged is decided by Benjamini & Hochberg (1995) at a false discovery rate of FDR.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import scipy
from scipy.special import bdtr, bdtrc

from core.agreement import proportions
from core.clustered import Clusters, difference, logistic, share
from core.consensus import dawid_skene
from core.estimate import Estimate, Estimates
from core.judgements import A, B, Bools, Judgements
from core.ratings import FloatArray, IntArray
from core.surface import MARKS

POSITION = "left"
LENGTH = "length"
TRAITS = (POSITION, LENGTH, *MARKS)
"""What an answer can have more of than the other."""

FDR = 0.05
"""Of the annotators who are flagged, the share that is flagged wrongly stays below this on average."""

SKIM = 100.0
"""Characters a second of both answers above which a judgement is quick: 1,000 words a minute, more than anybody can read (Rayner
et al. 2016, Psychological Science in the Public Interest 17, 4-34; the average is 238: Brysbaert 2019)."""

SURE = 0.95
"""The probability from which on a pair counts as clear."""

SPEEDS = 5
"""Parts of equal size, by speed, in which agreement is shown."""

NO_SIDES = (
    "It is not known which answer stood left: imported judgements do not tell, those made in Attune do."
)
NO_TIMES = "No judgement has a time: those made in Attune have one, imported ones where the file has a column seconds."
NO_COMPANY = "No pair has two annotators."
NOTHING = "No judgement prefers an answer."
ALIKE = "The two answers never differ in this."
ONE_WAY = "No pair was judged with each of its answers on the left."
NO_LABEL = "No pair has such a label."
NONE_QUICK = f"No judgement took less than a second for {SKIM:.0f} characters."
ALL_QUICK = f"Every judgement took less than a second for {SKIM:.0f} characters."
NOBODY_BOTH = "No annotator has both quick judgements and others."


@dataclass(frozen=True, slots=True)
class Effect:
    """How much a trait of an answer matters: its share and its odds, as the module's docstring has them."""

    share: Estimate
    odds: Estimate


@dataclass(frozen=True, slots=True)
class Speed:
    """Haste: ``quick``, the share of judgements beyond SKIM; how often a judgement agrees with the others of its pair, for the
    ``hasty`` ones and the ``careful`` rest; ``less``, the first less the second, and ``within``, that of one and the same
    annotator. ``parts``: agreement by speed, in parts of equal size, each with the slowest and the fastest speed in it."""

    quick: Estimate
    hasty: Estimate
    careful: Estimate
    less: Estimate
    within: Estimate
    parts: tuple[tuple[float, float, Estimate], ...]


@dataclass(frozen=True, slots=True)
class Report:
    """All that can be said of bias without naming anybody.

    ``effects``: of each of TRAITS. ``balanced``: the share of the left, if each answer had stood left equally often; ``a_left``:
    how often response a stood left. ``pairs``: of the traits but the left, how many pairs the answer with more of it wins, by what
    settles them: ``consensus`` of Dawid & Skene without ties, ``clear``, the same where it is SURE, ``gold``.
    """

    effects: Mapping[str, Effect]
    balanced: Estimate
    a_left: Estimate
    pairs: Mapping[str, Mapping[str, Estimate]]
    speed: Speed


@dataclass(frozen=True, slots=True, eq=False)
class ByAnnotator:
    """A trait's share of each annotator, held against ``null``: 1/2 for the left, else the share of all annotators together.

    ``p``: of the two-sided test; ``q``: adjusted over annotators; both NaN where there is nothing to test.
    """

    share: Estimates
    null: float
    p: FloatArray
    q: FloatArray

    @property
    def flagged(self) -> Bools:
        return np.asarray(self.q <= FDR)


def report(judgements: Judgements) -> Report:
    """Every figure over all annotators."""
    settled = dawid_skene(judgements.ratings(judgements.first), ties="drop")
    clear = settled.posterior.max(1, initial=0) >= SURE
    labels = {
        "consensus": settled.label,
        "clear": np.where(clear, settled.label, -1),
        "gold": judgements.gold,
    }
    pairs = {by: won(judgements, label) for by, label in labels.items()}
    return Report(effects(judgements), *_sides(judgements), pairs, speed(judgements))


def clusters(judgements: Judgements) -> Clusters:
    """Which prompt and annotator each judgement is of."""
    return Clusters(judgements.prompt[judgements.pair], judgements.annotator)


def differences(judgements: Judgements) -> FloatArray:
    """How much more of each of TRAITS response a has than b, in log2(1 + count), shape (n, len(TRAITS)); for the left 1 or -1; 0
    where there is no difference, or none is known."""
    logs = np.log2(1 + judgements.marks)
    return np.column_stack([judgements.side, (logs[:, 0] - logs[:, 1])[judgements.pair]])


def preferred(judgements: Judgements) -> FloatArray:
    """1 where the answer with more of a trait is preferred, 0 where the other is, NaN where neither is, or they do not differ in it:
    shape (n, len(TRAITS))."""
    more = differences(judgements)
    sided = (more != 0) & judgements.decisive[:, None]
    return np.where(sided, (more > 0) == (judgements.choice == A)[:, None], np.nan)


def effects(judgements: Judgements) -> dict[str, Effect]:
    """The share and the odds of each of TRAITS."""
    rows = judgements.decisive
    if not rows.any():
        return {name: Effect(*[Estimate.unavailable(NOTHING)] * 2) for name in TRAITS}
    of, values = clusters(judgements), preferred(judgements)
    odds = logistic(
        differences(judgements)[rows], (judgements.choice[rows] == A).astype(float), of.take(rows)
    )
    found = {}
    for name, column, coefficient in zip(TRAITS, values.T, odds, strict=True):
        sided = ~np.isnan(column)
        nothing = NO_SIDES if name == POSITION else ALIKE
        reason = coefficient.reason if sided.any() else nothing
        found[name] = Effect(
            share(column[sided], of.take(sided), nothing), _exp(replace(coefficient, reason=reason))
        )
    return found


def won(judgements: Judgements, label: IntArray) -> dict[str, Estimate]:
    """Of the pairs whose ``label`` prefers an answer, how many the one with more of each trait wins; ``n`` counts pairs.

    ``label``: codes into CHOICES, shape (n_pairs,); -1 where there is none.
    """
    logs = np.log2(1 + judgements.marks)
    sided = np.isin(label, (A, B))
    found = {}
    for name, more in zip(TRAITS[1:], (logs[:, 0] - logs[:, 1]).T, strict=True):
        rows = sided & (more != 0)
        of = Clusters(judgements.prompt[rows], np.zeros(int(rows.sum()), dtype=np.int64))
        wins = (more[rows] > 0) == (label[rows] == A)
        found[name] = share(wins.astype(np.float64), of, ALIKE if sided.any() else NO_LABEL)
    return found


def by_annotator(judgements: Judgements, trait: str) -> ByAnnotator:
    """The share of one trait for each annotator."""
    values, many = preferred(judgements)[:, TRAITS.index(trait)], len(judgements.annotators)
    found = proportions(values, judgements.annotator, many, NO_SIDES if trait == POSITION else ALIKE)
    tested = found.n > 0
    null = 0.5 if trait == POSITION or not tested.any() else float(np.nanmean(values))
    n, k = found.n[tested], np.rint(found.n * found.value)[tested]
    p, q = np.full((2, many), np.nan)
    p[tested] = np.minimum(1, 2 * np.minimum(bdtr(k, n, null), np.where(k > 0, bdtrc(k - 1, n, null), 1)))
    if tested.any():
        q[tested] = scipy.stats.false_discovery_control(p[tested])
    return ByAnnotator(found, null, p, q)


def reading(judgements: Judgements) -> FloatArray:
    """Characters of both answers a second, shape (n,); NaN where the time is not known."""
    with np.errstate(divide="ignore"):
        characters = np.maximum(judgements.marks[:, :, 0].sum(1), 1)
        return np.asarray(characters[judgements.pair] / judgements.seconds)


def company(judgements: Judgements) -> FloatArray:
    """The share of the other annotators of its pair that a judgement agrees with, shape (n,); NaN for repeats, and where there are none."""
    first = judgements.first
    pair, choice = judgements.pair[first], judgements.choice[first]
    width = int(choice.max(initial=0)) + 1
    cells = np.bincount(pair * width + choice, minlength=len(judgements.pairs) * width)
    others = np.bincount(pair, minlength=len(judgements.pairs))[pair] - 1
    agreement = np.full(len(judgements), np.nan)
    with np.errstate(invalid="ignore"):
        agreement[first] = np.where(others > 0, (cells[pair * width + choice] - 1) / others, np.nan)
    return agreement


def speed(judgements: Judgements) -> Speed:
    """How quick judgements are, and whether the quick ones agree less with others."""
    pace, agreement, of = reading(judgements), company(judgements), clusters(judgements)
    timed = ~np.isnan(pace)
    quick = share((pace[timed] > SKIM).astype(np.float64), of.take(timed), NO_TIMES)
    rows = timed & ~np.isnan(agreement)
    pace, agreement, of = pace[rows], agreement[rows], of.take(rows)
    nothing = NO_COMPANY if timed.any() else NO_TIMES
    fast = pace > SKIM
    hasty = share(agreement[fast], of.take(fast), NONE_QUICK if rows.any() else nothing)
    careful = share(agreement[~fast], of.take(~fast), ALL_QUICK if rows.any() else nothing)
    apart = [
        difference(agreement, fast, of),
        difference(agreement, fast, of, within=judgements.annotator[rows]),
    ]
    missing = hasty.reason if hasty.value is None else careful.reason
    less, within = (e if e.value is not None else Estimate.unavailable(missing or NOBODY_BOTH) for e in apart)
    parts = np.array_split(np.argsort(pace, kind="stable"), SPEEDS if rows.sum() >= 10 * SPEEDS else 1)
    by_speed = tuple(
        (float(pace[part[0]]), float(pace[part[-1]]), share(agreement[part], of.take(part), nothing))
        for part in parts
        if len(part)
    )
    return Speed(quick, hasty, careful, less, within, by_speed)


def _sides(judgements: Judgements) -> tuple[Estimate, Estimate]:
    """The share of the left if each answer had stood left equally often, and how often response a stood left.

    The first takes out that the better answers may have stood left more often: it is 1/2 plus the slope, within pairs, of the
    preference for a on 1 (a left) and -1 (b left), which is half of how much more often an answer wins on the left than on the right.
    """
    rows = judgements.decisive & (judgements.side != 0)
    if not rows.any():
        return Estimate.unavailable(NO_SIDES), Estimate.unavailable(NO_SIDES)
    of, side = clusters(judgements).take(rows), judgements.side[rows]
    chosen = (judgements.choice[rows] == A).astype(np.float64)
    slope = difference(chosen, side, of, within=judgements.pair[rows])
    if slope.value is None:
        slope = Estimate.unavailable(ONE_WAY)
    value, low, high = (
        None if x is None else min(1.0, max(0.0, x + 0.5)) for x in (slope.value, slope.low, slope.high)
    )
    balanced = replace(slope, value=value, low=low, high=high)
    return balanced, share((side > 0).astype(np.float64), of, NO_SIDES)


def _exp(estimate: Estimate) -> Estimate:
    value, low, high = (
        None if x is None else float(np.exp(min(max(x, -50.0), 50.0)))
        for x in (estimate.value, estimate.low, estimate.high)
    )
    return replace(estimate, value=value, low=low, high=high)
