"""MACE: how often an annotator knows the answer, told apart from how often a guess happens to hit it.

The model of Hovy, Berg-Kirkpatrick, Vaswani & Hovy (2013), Learning whom to trust with MACE, NAACL-HLT, 1120-1130: every category
is as likely to be true; an annotator says the true one with probability ``competence``, and else a category drawn from a habit
of their own (``guess``). So somebody who always says the same thing is found out, however often that is right.
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
    (n_raters, n_categories). ``posterior``: of each unit, shape (n_units, n_categories); ``log_likelihood`` after each iteration."""

    raters: Sequence[str]
    competence: Estimates
    guess: FloatArray
    posterior: FloatArray
    log_likelihood: tuple[float, ...]


def mace(ratings: Ratings, max_iter: int = 50, tol: float = 1e-6, smoothing: float = 0.5) -> Mace:
    """Maximum a posteriori competence by EM, each annotator's first judgement of a unit counting.

    ``smoothing``: votes that each category of a habit, and knowing and guessing, have beforehand (Jeffreys' priors). Starts from
    the vote shares. Stops when an iteration gains less than ``tol`` in log-likelihood per vote, or after ``max_iter``.

    The estimate of a competence is the mean of its posterior on a grid, given the annotator's habit and what the others say of each
    unit, and the interval the middle 95% of it; uniform beforehand. In simulations it holds the truth in 93 to 95% of cases
    where there are 20 annotators or more; of six, whose word on each other is all there is, in 88%.
    """
    ratings = first_judgements(ratings)
    counts = unit_counts(ratings)
    shared = counts.sum(1)[ratings.unit] > 1
    unit, rater, said = (column[shared] for column in (ratings.unit, ratings.rater, ratings.category))
    units, q = counts.shape
    raters, n = len(ratings.raters), np.bincount(rater, minlength=len(ratings.raters))
    competence, guess = np.full(raters, 0.5), np.full((raters, q), 1 / q)
    history: list[float] = []
    while len(history) < max_iter and not (len(history) > 1 and history[-1] - history[-2] < tol * len(unit)):
        chance = (1 - competence[rater]) * guess[rater, said]
        right = competence[rater] + chance
        joint = _joint(unit, said, right / chance, units, q)
        top = joint.max(1, keepdims=True)
        posterior = np.exp(joint - top)
        evidence = posterior.sum(1, keepdims=True)
        posterior /= evidence
        history.append(float((np.log(evidence) + top).sum() + np.log(chance).sum() - units * np.log(q)))
        knew = posterior[unit, said] * competence[rater] / right
        competence = (np.bincount(rater, knew, raters) + smoothing) / (n + 2 * smoothing)
        guess = np.bincount(rater * q + said, 1 - knew, raters * q).reshape(raters, q) + smoothing
        guess /= guess.sum(1, keepdims=True)
    chance = (1 - competence[rater]) * guess[rater, said]
    gain = (competence[rater] + chance) / chance
    others = _joint(unit, said, gain, units, q)[unit]
    others[np.arange(len(unit)), said] -= np.log(gain)
    others = np.exp(others - others.max(1, keepdims=True))
    believed = others[np.arange(len(unit)), said] / others.sum(1)
    return Mace(
        ratings.raters, _competence(believed, guess[rater, said], rater, n), guess, posterior, tuple(history)
    )


def _joint(unit: np.ndarray, said: np.ndarray, gain: FloatArray, units: int, q: int) -> FloatArray:
    """What the votes add to the log probability of each category of each unit, up to a constant of the unit."""
    return np.asarray(np.bincount(unit * q + said, np.log(gain), units * q).reshape(units, q))


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
