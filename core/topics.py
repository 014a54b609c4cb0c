"""What clusters of texts are called, and which cluster of one run is which of the next."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import count

import numpy as np
import scipy
from scipy import sparse

from core.ratings import FloatArray, IntArray

TERMS = 4
HEAD = 3
"""Terms that two clusters may not have in common all at once."""
SAME_MEMBERS = 0.3
"""Clusters that share so much of what both runs have (Jaccard) may be one and the same."""
SAME_PLACE = 0.9
"""Clusters that share nothing may be one and the same where their centroids have this cosine."""


def names(
    counts: sparse.csr_array, terms: Sequence[str], label: IntArray, most: int = TERMS
) -> dict[int, list[str]]:
    """The terms that tell each cluster from the others, the best first, by class-based TF-IDF (Grootendorst 2022, BERTopic, eq. 3).

    Where several clusters have the same terms at their head, as parts of one topic do, all but the first of these give way to
    those that most of its texts have beyond what the other parts have.

    ``counts``: shape (n, terms), how often each text has each term; a text counts a term once, so that a single long one names no
    cluster. ``label``: shape (n,), -1 for texts in no cluster.
    """
    clusters = np.unique(label[label >= 0])
    if not len(clusters):
        return {}
    place = np.searchsorted(clusters, label[label >= 0])
    member = sparse.csr_array(
        (np.ones(len(place)), (place, np.flatnonzero(label >= 0))), shape=(len(clusters), len(label))
    )
    in_class = np.asarray((member @ (counts > 0).astype(np.float64)).todense())
    everywhere = in_class.sum(0)
    share = in_class / np.maximum(in_class.sum(1, keepdims=True), 1)
    score = share * np.log1p(in_class.sum() / len(clusters) / np.maximum(everywhere, 1))
    score += _apart(
        np.argsort(-score, axis=1, kind="stable")[:, :HEAD], in_class / np.bincount(place)[:, None]
    )
    best = np.argsort(-score, axis=1, kind="stable")[:, :most]
    return {
        int(name): [terms[column] for column in best[row] if score[row, column] > 0]
        for row, name in enumerate(clusters)
    }


def _apart(head: IntArray, present: FloatArray) -> FloatArray:
    """What is added to the scores so that clusters with the same ``head``, shape (clusters, HEAD), do not have the same name:
    how much more often a term is ``present`` in a cluster, shape (clusters, terms), than in those that it shares its head with."""
    added = np.zeros_like(present)
    kinds = np.unique(np.sort(head), axis=0, return_inverse=True)[1].ravel()
    for kind in np.flatnonzero(np.bincount(kinds) > 1):
        rows = np.flatnonzero(kinds == kind)
        for row in rows:
            others = present[rows[rows != row]].max(0)
            added[row] = np.maximum(present[row] - others, 0)
            added[row, head[row, 0]] = 2
    return added


def carried_over(
    before: Mapping[str, int],
    now: Mapping[str, int],
    centroids_before: Mapping[int, FloatArray] | None = None,
    centroids: Mapping[int, FloatArray] | None = None,
    free: int = 0,
) -> dict[int, int]:
    """What each cluster of this run is called, so that one that an earlier run had keeps its number.

    ``before``, ``now``: the cluster of each row of either run by the row's id, -1 for none. The assignment is the one with the most
    in common (Kuhn 1955): the Jaccard index over the rows that both runs have, or, for clusters without such rows, the cosine of
    their centroids where both are given. A cluster like none before gets a new number, ``free`` or higher.
    """
    old, new = (sorted({cluster for cluster in one.values() if cluster >= 0}) for one in (before, now))
    both = [key for key in now if key in before]
    held, met = Counter(before[key] for key in both), Counter(now[key] for key in both)
    shared = Counter((before[key], now[key]) for key in both)
    alike = np.zeros((len(old), len(new)))
    for i, first in enumerate(old):
        for j, second in enumerate(new):
            if held[first] or met[second]:
                common = shared[first, second] / (held[first] + met[second] - shared[first, second])
                alike[i, j] = common if common >= SAME_MEMBERS else 0.0
            elif centroids_before and centroids:
                cosine = _cosine(centroids_before[first], centroids[second])
                alike[i, j] = cosine / 2 if cosine >= SAME_PLACE else 0.0
    kept = {
        new[j]: old[i]
        for i, j in zip(*scipy.optimize.linear_sum_assignment(-alike), strict=True)
        if alike[i, j] > 0
    }
    fresh = count(max(free, max(old, default=-1) + 1))
    return {cluster: kept[cluster] if cluster in kept else next(fresh) for cluster in new}


def _cosine(a: FloatArray, b: FloatArray) -> float:
    return float(a @ b / np.sqrt((a @ a) * (b @ b))) if len(a) == len(b) and a.any() and b.any() else 0.0
