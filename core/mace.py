"""MACE: how often an annotator knows the answer, told apart from how often a guess happens to hit it.

The model of Hovy, Berg-Kirkpatrick, Vaswani & Hovy (2013), Learning whom to trust with MACE, NAACL-HLT, 1120-1130: an annotator
says the true category with probability ``competence``, and else one drawn from a habit of their own (``guess``). So somebody who
always says the same thing is found out, however often that is right.

There every category is as likely to be true, which takes a small team for worse than it is where ties are never true; here the
prior of the categories is halfway between that and what the units show.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.agreement import first_judgements, unit_counts
from core.estimate import Estimates
from core.ratings import FloatArray, Ratings

GRID = (np.arange(100) + 0.5) / 100
ALONE = "Nobody else has judged a pair of theirs."


@dataclass(frozen=True, slots=True, eq=False)
class Mace:
    """``competence``: of each annotator, ``n`` the judgements of units that somebody else judged too. ``guess``: shape
    (n_raters, n_categories). ``prior``: shape (n_categories,). ``posterior``: shape (n_units, n_categories), the prior where
    fewer than two judged. ``log_posterior``: the penalised log-likelihood after each iteration."""

    raters: Sequence[str]
    competence: Estimates
    guess: FloatArray
    prior: FloatArray
    posterior: FloatArray
    log_posterior: tuple[float, ...]


def mace(ratings: Ratings, max_iter: int = 100, tol: float = 1e-6, smoothing: float = 0.5) -> Mace:
    """Maximum a posteriori competence by EM, each annotator's first judgement of a unit counting.

    ``smoothing``: votes that each category of a habit, and knowing and guessing, have beforehand (Jeffreys' priors); the prior has
    as many as there are units, split evenly. Starts from every competence at 1/2. Stops when an iteration gains less than
    ``tol`` in log posterior per vote, or after ``max_iter``.

    The estimate of a competence is the mean of its posterior on a grid, given the annotator's habit and what the others say of each
    unit, uniform beforehand; its interval is the middle 95%. The others are taken at their estimates, so intervals are a little
    short: in simulations of 12 to 200 annotators they hold the truth in 90 to 96% of cases, of six in 89 to 95%; in 70% where
    half of the six guess and nothing is ever truly a tie.
    """
    ratings = first_judgements(ratings)
    counts = unit_counts(ratings)
    shared = counts.sum(1) > 1
    unit, rater, said = (
        column[shared[ratings.unit]] for column in (ratings.unit, ratings.rater, ratings.category)
    )
    units, q = counts.shape
    raters, n = len(ratings.raters), np.bincount(rater, minlength=len(ratings.raters))
    competence, guess, prior = np.full(raters, 0.5), np.full((raters, q), 1 / q), np.full(q, 1 / q)
    history: list[float] = []
    while len(history) < max_iter and not (len(history) > 1 and history[-1] - history[-2] < tol * len(unit)):
        chance = (1 - competence[rater]) * guess[rater, said]
        right = competence[rater] + chance
        joint = np.log(prior) + _votes(unit, said, right / chance, units, q)
        top = joint.max(1, keepdims=True)
        posterior = np.exp(joint - top)
        evidence = posterior.sum(1, keepdims=True)
        posterior /= evidence
        likelihood = float((np.log(evidence) + top)[shared].sum() + np.log(chance).sum())
        parameters = np.concatenate([competence, 1 - competence, guess.ravel()])
        before = smoothing * float(np.log(parameters).sum()) + shared.sum() / q * float(np.log(prior).sum())
        history.append(likelihood + before)
        knew = posterior[unit, said] * competence[rater] / right
        competence = (np.bincount(rater, knew, raters) + smoothing) / (n + 2 * smoothing)
        guess = np.bincount(rater * q + said, 1 - knew, raters * q).reshape(raters, q) + smoothing
        guess /= guess.sum(1, keepdims=True)
        prior = posterior[shared].sum(0) + max(int(shared.sum()), 1) / q
        prior /= prior.sum()
    chance = (1 - competence[rater]) * guess[rater, said]
    gain = (competence[rater] + chance) / chance
    rows = np.arange(len(unit))
    others = (np.log(prior) + _votes(unit, said, gain, units, q))[unit]
    others[rows, said] -= np.log(gain)
    others = np.exp(others - others.max(1, keepdims=True))
    believed = others[rows, said] / others.sum(1)
    found = _competence(believed, guess[rater, said], rater, n)
    return Mace(ratings.raters, found, guess, prior, posterior, tuple(history))


def _votes(unit: np.ndarray, said: np.ndarray, gain: FloatArray, units: int, q: int) -> FloatArray:
    """What the votes add to the log probability of each category of each unit, up to a constant of the unit."""
    return np.bincount(unit * q + said, np.log(gain), units * q).reshape(units, q).astype(np.float64)


def _competence(believed: FloatArray, guessed: FloatArray, rater: np.ndarray, n: np.ndarray) -> Estimates:
    """The posterior of each competence: ``believed``, the probability that others give to what was said; ``guessed``, the
    habit's."""
    logs = np.stack(
        [np.bincount(rater, np.log(t * believed + (1 - t) * guessed), len(n)) for t in GRID], axis=1
    )
    density = np.exp(logs - logs.max(1, keepdims=True))
    density /= density.sum(1, keepdims=True)
    below = density.cumsum(1)
    half = 0.5 / len(GRID)
    value, low, high = (
        np.where(n > 0, column, np.nan)
        for column in (
            density @ GRID,
            GRID[(below >= 0.025).argmax(1)] - half,
            GRID[(below >= 0.975).argmax(1)] + half,
        )
    )
    return Estimates(value, low, high, n, ALONE)
