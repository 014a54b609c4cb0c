"""Which model writes the answers that people prefer: Bradley-Terry strengths from the annotations, with their uncertainty.

A comparison is an annotator's first judgement of two answers by different models. With a strength b for each model,

    logit P(the answer of i is preferred to that of j) = b_i - b_j + g . x

(Bradley & Terry 1952, Biometrika 39, 324-345). Strengths are log odds and sum to zero, so zero is the average model. A tie is half
a win for each model, or is left out; "both bad" says nothing about which is better and is left out, like a skip. Without control
x is left away. With it, x is the difference of the two answers in length and Markdown (``core.surface.STYLE``), scaled to a root mean square
of 1, and b is what is left of a model at equal style (style control: Li, Angelopoulos & Chiang 2024, "Does style matter?", LMSYS).

The maximum likelihood is finite where no group of models won all its comparisons against the rest (Ford 1957, American
Mathematical Monthly 64, 28-33). Nothing is added to make it so: the largest set of models for which it is finite is ranked (what the others
did against these moves nothing in the limit), and each of the others says why it is not.

Intervals are sandwich ones (Liang & Zeger 1986, Biometrika 73, 13-22) with clusters of prompts: how strengths would move with other prompts, judged by
the same people; or with clusters of prompts and of annotators (Cameron, Gelbach & Miller 2011, JBES 29, 238-249): with other people
too. Their quantile is Student's at the smaller number of clusters less one. A rank range holds for all models together: a model is ahead of another where
the Tukey-Kramer interval of their difference excludes zero (simultaneous differences for ranks: Mogstad et al. 2024, Review of Economic Studies 91, 476-518).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import scipy
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.special import expit

from core.clustered import shares
from core.estimate import Estimate
from core.preferences import Ties
from core.ratings import FloatArray, IntArray
from core.surface import STYLE

Over = Literal["prompts", "both"]
"""What an interval is over: other prompts, or other prompts and other annotators."""

POINTS = 400 / np.log(10)
"""Elo-like points a log odd makes: 400 points are odds of ten to one."""
AVERAGE = 1000
"""Points of the average model."""
FEW = 10
"""Annotators, at least, for an interval over annotators."""

LEFT_OUT = {
    "unnamed": "do not name the model of both answers",
    "same_model": "compare two answers by one model",
    "repeat": "are planned repeats",
    "both_bad": "found both answers bad",
    "tie": "are ties",
}
"""Why a judgement is no comparison; it counts under the first reason that applies."""

NONE = "No annotation compares answers by two different models."
SEPARATED = (
    "Style and model together tell every preference, so the strengths have no limit; leave the control out."
)
COLLINEAR = "In these answers style goes with the model throughout, so what is owed to which cannot be told; leave the control out."

NO_LIMITS = "No model both won and lost against the others, so no strength has two limits."
NEVER_MET = "Nothing compares its answers with those of the ranked models, directly or through others."
APART = "It is of a group of models that won, or lost, every comparison with the ranked ones, so how far apart they are has no limit."
STEPS = 100
"""Newton steps, at most; ten do unless style separates the votes."""


@dataclass(frozen=True, slots=True, eq=False)
class Comparisons:
    """A row a comparison; every array has shape (n,).

    ``first``, ``second``: codes into ``models`` of the models of answers a and b. ``score``: 1 where a is preferred, 0 where b is, 1/2 for a
    tie. ``pair``: the pair's row in the store. ``prompt``, ``annotator``: codes from 0. ``style``: shape (n, len(STYLE)), of a less that of
    b. ``left_out``: judgements that are no comparison, by the key of LEFT_OUT.
    """

    models: tuple[str, ...]
    first: IntArray
    second: IntArray
    score: FloatArray
    pair: IntArray
    prompt: IntArray
    annotator: IntArray
    style: FloatArray
    left_out: dict[str, int]

    @classmethod
    def of(cls, table: pa.Table, ties: Ties = "half") -> "Comparisons":
        """The comparisons among the judgements of a table as ``storage.judgements.listed`` gives it, without their style."""
        a, b = (table[name].cast(pa.string()) for name in ("model_a", "model_b"))
        choice = table["choice"].cast(pa.string())
        fate = pc.case_when(
            pc.make_struct(
                pc.or_(pc.is_null(a), pc.is_null(b)),
                pc.fill_null(pc.equal(a, b), False),
                pc.invert(table["first"]),
                pc.equal(choice, "both_bad"),
                pc.and_(pc.equal(choice, "tie"), ties == "drop"),
            ),
            *LEFT_OUT,
            "",
        )
        lost = Counter(fate.to_pylist())
        kept = pc.equal(fate, "")
        a, b, choice, table = a.filter(kept), b.filter(kept), choice.filter(kept), table.filter(kept)
        models = sorted(pc.unique(pa.chunked_array([*a.chunks, *b.chunks], pa.string())).to_pylist())
        named = pa.array(models, pa.string())
        return cls(
            models=tuple(models),
            first=_numbers(pc.index_in(a, named)),
            second=_numbers(pc.index_in(b, named)),
            score=np.array([0.0, 1.0, 0.5])[_numbers(pc.index_in(choice, pa.array(["b", "a", "tie"])))],
            pair=_numbers(table["pair"]),
            prompt=_coded(_numbers(table["prompt"])),
            annotator=_coded(_numbers(table["annotator"].combine_chunks().indices)),
            style=np.zeros((len(table), 0)),
            left_out={reason: lost[reason] for reason in LEFT_OUT if lost[reason]},
        )

    def with_style(self, style: FloatArray) -> "Comparisons":
        return replace(self, style=style)

    def __len__(self) -> int:
        return len(self.score)


@dataclass(frozen=True, slots=True)
class Standing:
    """A model: its ``strength``, and the ``best`` and ``worst`` rank it may have (None without an interval); or, with no value, why it
    has none. ``won``: the share of its comparisons that it won. The ``n`` of both counts comparisons, of the strength those that
    count: with ranked models."""

    model: str
    strength: Estimate
    won: Estimate
    best: int | None = None
    worst: int | None = None

    @property
    def points(self) -> Estimate:
        """The strength in Elo-like points."""
        e = self.strength
        value, low, high = (None if x is None else AVERAGE + POINTS * x for x in (e.value, e.low, e.high))
        return replace(e, value=value, low=low, high=high)


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """The models, the strongest first and those without a strength last.

    ``n``: the comparisons it rests on. ``covariance``: of the strengths of the ranked models, in that order; None without intervals, and
    then ``reason`` says why, as where nothing could be ranked. ``quantile``: of an interval. ``style``: what one root mean square of each
    feature of STYLE adds to the log odds of an answer.
    """

    standings: list[Standing]
    n: int
    covariance: FloatArray | None
    quantile: float
    style: dict[str, Estimate]
    reason: str | None = None

    @property
    def ranked(self) -> list[Standing]:
        return [one for one in self.standings if one.strength.value is not None]

    def chance(self, i: int, j: int) -> Estimate:
        """The probability that the answer of the i-th ranked model (from 0) is preferred to that of the j-th, a tie being half."""
        one, other = self.ranked[i].strength.value, self.ranked[j].strength.value
        assert one is not None and other is not None
        if self.covariance is None:
            return Estimate(float(expit(one - other)), None, None, self.n, reason=self.reason)
        wide = self.quantile * _errors(self.covariance)[i, j]
        value, low, high = expit(one - other + np.array([0.0, -wide, wide])).tolist()
        return Estimate(value, low, high, self.n)


class _Unranked(ValueError):
    """The strengths cannot be told; the message says why."""


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """The parameters, strengths first, with their covariance (None without one: ``reason`` says why) and its degrees of freedom."""

    theta: FloatArray
    covariance: FloatArray | None
    df: int
    reason: str | None

    @property
    def quantile(self) -> float:
        return float(scipy.stats.t.ppf(0.975, self.df))

    def estimate(self, i: int, n: int) -> Estimate:
        value = float(self.theta[i])
        if self.covariance is None:
            return Estimate(value, None, None, n, reason=self.reason)
        wide = self.quantile * float(np.sqrt(self.covariance[i, i]))
        return Estimate(value, value - wide, value + wide, n)


def rank(found: Comparisons, control: bool = False, over: Over = "prompts") -> Ranking:
    """Rank the models; with ``control`` at equal style.

    Raises ValueError where a control is asked for and ``found`` has no style.
    """
    if control and found.style.shape[1] != len(STYLE):
        raise ValueError("A control for style needs the comparisons' style.")
    if not len(found):
        return Ranking([], 0, None, np.nan, {}, NONE)
    won = win_shares(found)
    kept, why = _comparable(found)
    rows = np.flatnonzero(kept[found.first] & kept[found.second])
    names = [model for model, there in zip(found.models, kept, strict=True) if there]
    code = np.cumsum(kept) - 1
    sides = np.column_stack([code[found.first], code[found.second]])[rows]
    n = np.bincount(sides.ravel(), minlength=len(names)).tolist()
    reason = None if names else NO_LIMITS
    fit, style = None, dict[str, Estimate]()
    if names:
        try:
            fit, style = _fit(found, rows, sides, len(names), control, over)
        except _Unranked as error:
            reason = str(error)
            why |= dict.fromkeys(names, reason)
    unranked = [Standing(model, Estimate.unavailable(why[model]), won[model]) for model in why]
    unranked.sort(key=lambda one: -(one.won.value or 0))
    if fit is None:
        return Ranking(unranked, 0, None, np.nan, {}, reason)
    order = np.argsort(-fit.theta[: len(names)], kind="stable")
    covariance = None if fit.covariance is None else fit.covariance[np.ix_(order, order)]
    best, worst = _ranks(fit.theta[order], covariance, fit.df)
    standings = [
        Standing(names[i], fit.estimate(int(i), n[i]), won[names[i]], best[place], worst[place])
        for place, i in enumerate(order)
    ]
    return Ranking([*standings, *unranked], len(rows), covariance, fit.quantile, style, fit.reason)


def win_shares(found: Comparisons) -> dict[str, Estimate]:
    """The share of its comparisons that each model won, with an interval over prompts; a tie is half."""
    model = np.concatenate([found.first, found.second])
    score, prompt = np.concatenate([found.score, 1 - found.score]), np.tile(found.prompt, 2)
    told = shares(score, model, len(found.models), prompt, NONE)
    return dict(zip(found.models, told, strict=True))


def head_to_head(found: Comparisons, models: Sequence[str]) -> dict[tuple[str, str], Estimate]:
    """For every two of ``models`` that were compared, the share of it that the first won, with an interval over prompts."""
    m, place = len(models), {model: i for i, model in enumerate(models)}
    code = np.array([place.get(model, -1) for model in found.models], dtype=np.int64)
    first, second = code[found.first], code[found.second]
    rows = np.flatnonzero((first >= 0) & (second >= 0))
    first, second, score, prompt = first[rows], second[rows], found.score[rows], found.prompt[rows]
    cell = np.concatenate([first * m + second, second * m + first])
    told = shares(np.concatenate([score, 1 - score]), cell, m * m, np.tile(prompt, 2), NONE)
    return {(models[i // m], models[i % m]): e for i, e in enumerate(told) if e.n}


def _comparable(found: Comparisons) -> tuple[npt.NDArray[np.bool_], dict[str, str]]:
    """Which models have a finite strength together, and why each of the others has none."""
    m = len(found.models)
    wins = np.zeros((m, m))
    np.add.at(wins, (found.first, found.second), found.score)
    np.add.at(wins, (found.second, found.first), 1 - found.score)
    _, group = connected_components(wins > 0, connection="strong")
    _, island = connected_components(wins > 0, directed=False)
    size = np.bincount(group)
    inside = np.bincount(group[found.first], group[found.first] == group[found.second], len(size))
    largest = np.lexsort((inside, size))[-1]
    kept = (group == largest) & (size[largest] > 1)
    why = {}
    for i in np.flatnonzero(~kept):
        won, lost = wins[i].sum(), wins[:, i].sum()
        if kept.any() and island[i] != island[kept.argmax()]:
            reason = NEVER_MET
        elif won and lost:
            reason = APART
        else:
            said, limit = ("won", "upper") if won else ("lost", "lower")
            n = won + lost
            which = f"all of its {n:,.0f} comparisons" if n > 1 else "its only comparison"
            reason = f"It {said} {which}, so its strength has no {limit} limit."
        why[found.models[i]] = reason
    return kept, why


def _fit(
    found: Comparisons, rows: IntArray, sides: IntArray, m: int, control: bool, over: Over
) -> tuple[_Fit, dict[str, Estimate]]:
    """The strengths of the ``m`` models, whose codes ``sides`` has for each of ``rows``, and the effects of style."""
    n = len(rows)
    style = found.style[rows] if control else np.zeros((n, 0))
    scale = np.sqrt((style**2).mean(0))
    used = np.flatnonzero(scale > 0)
    signs = sparse.csr_array((np.tile([1.0, -1.0], n), sides.ravel(), 2 * np.arange(n + 1)), shape=(n, m))
    design = sparse.csr_array(sparse.hstack([signs, sparse.csr_array(style[:, used] / scale[used])]))
    theta, curvature = _maximise(design, found.score[rows], m)
    influence = sparse.csr_array(design.multiply((found.score[rows] - expit(design @ theta))[:, None]))
    meat, df, reason = _meat(influence, found.prompt[rows], found.annotator[rows], over)
    covariance = None
    if meat is not None:
        inverse = np.linalg.inv(curvature)
        values, vectors = np.linalg.eigh(inverse @ meat @ inverse)
        covariance = (vectors * np.clip(values, 0, None)) @ vectors.T
    fit = _Fit(theta, covariance, df, reason)
    effects = dict.fromkeys(STYLE if control else (), Estimate.unavailable("No two answers differ in it."))
    return fit, effects | {STYLE[i]: fit.estimate(m + at, n) for at, i in enumerate(used)}


def _maximise(design: sparse.csr_array, score: FloatArray, m: int) -> tuple[FloatArray, FloatArray]:
    """Newton's method: the parameters, the first ``m`` of sum zero, and the negative Hessian, made regular along their sum.

    Raises _Unranked where the likelihood has no maximum, or not one alone.
    """
    n, k = design.shape
    level = np.zeros((k, k))
    level[:m, :m] = n / m**2
    theta = np.zeros(k)
    for _ in range(STEPS):
        p = expit(design @ theta)
        curvature = (design.T @ design.multiply((p * (1 - p))[:, None])).toarray() + level
        spread = np.linalg.eigvalsh(curvature)
        if spread[0] < 1e-10 * spread[-1]:
            raise _Unranked(SEPARATED if theta.any() else COLLINEAR)
        step = np.linalg.solve(curvature, design.T @ (score - p))
        theta = theta + step / max(1.0, np.abs(step).max() / 2)
        if np.abs(step).max() < 1e-11:
            return theta, curvature
    raise _Unranked(SEPARATED)


def _meat(
    influence: sparse.csr_array, prompt: IntArray, annotator: IntArray, over: Over
) -> tuple[FloatArray | None, int, str | None]:
    """The variance of the score and its degrees of freedom; or None, and why."""
    free = influence.shape[1] - 1
    prompts, annotators = len(np.unique(prompt)), len(np.unique(annotator))
    if prompts <= free:
        return None, 0, f"Intervals need {free + 1} prompts or more here; so far: {prompts}."
    if over == "prompts":
        return _clustered(influence, prompt), prompts - 1, None
    needed = max(FEW, free + 1)
    if annotators < needed:
        return None, 0, f"Intervals over annotators need {needed} of them or more here; so far: {annotators}."
    both = prompt * (annotator.max() + 1) + annotator
    total = _clustered(influence, prompt) + _clustered(influence, annotator) - _clustered(influence, both)
    return total, min(prompts, annotators) - 1, None


def _clustered(influence: sparse.csr_array, cluster: IntArray) -> FloatArray:
    _, code = np.unique(cluster, return_inverse=True)
    n, groups = len(code), int(code.max()) + 1
    sums = sparse.csr_array((np.ones(n), (code, np.arange(n))), shape=(groups, n)) @ influence
    return np.asarray((sums.T @ sums).toarray() * groups / (groups - 1))


def _ranks(
    strength: FloatArray, covariance: FloatArray | None, df: int
) -> tuple[list[int | None], list[int | None]]:
    """The best and the worst rank each model may have, all of them at once in 95 of 100 cases."""
    m = len(strength)
    if covariance is None:
        return [None] * m, [None] * m
    reach = _studentized(m, df) / np.sqrt(2) * _errors(covariance)
    apart = strength[:, None] - strength
    return (1 + (apart < -reach).sum(1)).tolist(), (m - (apart > reach).sum(1)).tolist()


@lru_cache(maxsize=1024)
def _studentized(m: int, df: int) -> float:
    return float(scipy.stats.studentized_range.ppf(0.95, m, df))


def _errors(covariance: FloatArray) -> FloatArray:
    """The standard error of each difference of two strengths."""
    variance = np.diag(covariance)
    return np.asarray(np.sqrt(np.clip(variance[:, None] + variance - 2 * covariance, 0, None)))


def _numbers(column: Any) -> IntArray:
    return np.asarray(column.to_numpy(), dtype=np.int64)


def _coded(values: IntArray) -> IntArray:
    return np.asarray(np.unique(values, return_inverse=True)[1], dtype=np.int64)
