"""What annotators say together: majority and Dawid-Skene, each with a posterior over categories for every unit.

Only an annotator's first judgement of a unit counts. Ties and "both bad" are votes for categories of their own under the
policy ``ties="keep"``, and are left out of the vote, categories and all, under ``ties="drop"``.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from scipy import sparse

from core.agreement import first_judgements, proportion, unit_counts
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray, Ratings

UNDECIDED = ("tie", "both_bad")
"""The categories that prefer neither response."""

Ties = Literal["keep", "drop"]


@dataclass(frozen=True, slots=True)
class Consensus:
    """A posterior over categories for each unit.

    ``posterior``: shape (n_units, n_categories), rows sum to 1; a unit without votes has the prior.
    ``label``: shape (n_units,), the likeliest category's code, or -1 where two share the top or nobody voted: a draw is
    left open, for adjudication to settle. ``votes``: shape (n_units,).
    """

    units: Sequence[str]
    categories: tuple[str, ...]
    posterior: FloatArray
    label: IntArray
    votes: IntArray


@dataclass(frozen=True, slots=True)
class DawidSkene(Consensus):
    """A consensus with what it takes each annotator to be.

    ``prior``: shape (n_categories,). ``confusion``: shape (n_raters, n_categories, n_categories), the probability that
    the annotator says the second category where the first is true. ``reliability``: shape (n_raters,), the probability
    that the annotator says the true category. ``judged``: shape (n_raters,), the votes these rest on. ``log_posterior``:
    the penalised log-likelihood after each iteration; ``converged`` says whether it had settled.
    """

    raters: Sequence[str]
    prior: FloatArray
    confusion: FloatArray
    reliability: FloatArray
    judged: IntArray
    log_posterior: tuple[float, ...]
    converged: bool


def decisive(ratings: Ratings) -> Ratings:
    """The judgements that prefer a response; the undecided categories are gone."""
    return only(ratings, tuple(name for name in ratings.categories if name not in UNDECIDED))


def only(ratings: Ratings, names: tuple[str, ...]) -> Ratings:
    """The judgements of the categories ``names``, which are then all there are; all units stay."""
    recode = np.array(
        [names.index(name) if name in names else -1 for name in ratings.categories], dtype=np.int64
    )
    category = recode[ratings.category]
    rows = category >= 0
    return replace(
        ratings,
        unit=ratings.unit[rows],
        rater=ratings.rater[rows],
        category=category[rows],
        confidence=ratings.confidence[rows],
        categories=names,
    )


def majority(ratings: Ratings, ties: Ties = "keep") -> Consensus:
    """The category most annotators chose; the posterior is the share of the votes, uniform without any."""
    ratings = _vote(ratings, ties)
    counts = unit_counts(ratings)
    votes = counts.sum(1)
    posterior = _shares(counts)
    return Consensus(
        ratings.units, ratings.categories, posterior, _labels(posterior, votes), votes.astype(np.int64)
    )


def dawid_skene(
    ratings: Ratings, max_iter: int = 100, tol: float = 1e-5, smoothing: float = 0.5, ties: Ties = "keep"
) -> DawidSkene:
    """Maximum a posteriori consensus and annotator error rates by EM (Dawid & Skene 1979, Applied Statistics 28, 20-28).

    Starts from the vote shares. Each cell of an annotator's confusion matrix, and of the prior, gets ``smoothing``
    votes beforehand (a symmetric Dirichlet prior; by default Jeffreys'), so that an annotator of few pairs is not taken for infallible.
    Stops when an iteration gains less than ``tol`` in log posterior per vote, or after ``max_iter``.
    """
    ratings = first_judgements(_vote(ratings, ties))
    units, raters, q = len(ratings.units), len(ratings.raters), len(ratings.categories)
    said = sparse.csr_array(
        (np.ones(len(ratings.unit)), (ratings.unit, ratings.rater * q + ratings.category)),
        shape=(units, raters * q),
    )
    said_by = said.T.tocsr()
    votes, judged = np.bincount(ratings.unit, minlength=units), np.bincount(ratings.rater, minlength=raters)
    posterior = _shares(unit_counts(ratings))
    voted = votes > 0
    history: list[float] = []
    converged = False
    while not converged and len(history) < max_iter:
        prior = posterior[voted].sum(0) + smoothing
        prior /= prior.sum()
        confusion = (said_by @ posterior).reshape(raters, q, q) + smoothing
        confusion /= confusion.sum(1, keepdims=True)
        log_confusion = np.log(confusion)
        joint = np.log(prior) + said @ log_confusion.reshape(raters * q, q)
        top = joint.max(1, keepdims=True)
        posterior = np.exp(joint - top)
        evidence = posterior.sum(1, keepdims=True)
        posterior /= evidence
        likelihood = float((np.log(evidence) + top)[voted].sum())
        history.append(likelihood + smoothing * float(log_confusion.sum() + np.log(prior).sum()))
        converged = len(history) > 1 and history[-1] - history[-2] < tol * len(ratings.unit)
    return DawidSkene(
        ratings.units,
        ratings.categories,
        posterior,
        _labels(posterior, votes),
        votes,
        ratings.raters,
        prior,
        confusion.transpose(0, 2, 1),
        np.trace(confusion * prior, axis1=1, axis2=2),
        judged,
        tuple(history),
        converged,
    )


def accuracy(consensus: Consensus, gold: Sequence[str | None]) -> Estimate:
    """How often the label is the gold one, over units with a gold category; a unit without a label is a miss.

    ``gold``: a category for each unit, in the order of ``consensus.units``; None where it is not known.
    """
    code = {name: i for i, name in enumerate(consensus.categories)}
    known = np.array([name is not None for name in gold], dtype=bool)
    if not known.any():
        return Estimate.unavailable("No pair has a gold label.")
    truth = np.array([code.get(name, -2) for name in gold if name is not None])
    return proportion(int((consensus.label[known] == truth).sum()), int(known.sum()))


def _vote(ratings: Ratings, ties: Ties) -> Ratings:
    return ratings if ties == "keep" else decisive(ratings)


def _shares(counts: FloatArray) -> FloatArray:
    """Each row's shares; uniform where the row is empty."""
    filled = counts + (counts.sum(1, keepdims=True) == 0)
    return np.asarray(filled / filled.sum(1, keepdims=True))


def _labels(posterior: FloatArray, votes: FloatArray | IntArray) -> IntArray:
    """The likeliest category, -1 where two share the top (to nine digits) or nobody voted."""
    top = posterior >= posterior.max(1, keepdims=True, initial=0) - 1e-9
    return np.where((top.sum(1) == 1) & (votes > 0), top.argmax(1), -1)
