"""A map of texts and the clusters on it: vectors reduced by PCA, laid out by UMAP, and clustered by HDBSCAN.

Windows, errors and topics play no part in it, so that tests on the clusters mean what they say. The seed is fixed: the same vectors
give the same map. numba ends the process where two threads fit at once, so a process fits one map at a time, and only jobs do.
"""

import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import sparse

from core.ratings import IntArray
from core.topics import names

Vectors = npt.NDArray[np.float32]
COMPONENTS = 50
NEIGHBOURS = 15
EPOCHS = 200
FITTED = 20_000
"""Rows that a map is fitted to at most; the others are placed by their neighbours."""
SMALLEST = 0.005
"""The share of the rows that makes a cluster, so that one that has a hundredth of them is found."""
NAMED_BY = 200
"""Texts of each cluster that its name is taken from at most."""
CUT = 2000
"""Characters of a text that count towards a name."""
_ADDRESS = re.compile(r"https?://\S+|www\.\S+")
_WORD = r"(?u)\b[^\W\d_]{2,}(?:['’][^\W\d_]+)?\b"


class ClusteringError(ValueError):
    """There is nothing to cluster; the message says what is missing and what would mend it."""


@dataclass(frozen=True, slots=True, eq=False)
class Clustering:
    """``point``: where each row is on the map, shape (n, 2). ``label``: its cluster, shape (n,), -1 for none.

    ``reduced``: what the map was made from, shape (n, at most COMPONENTS). ``fitted``: how many different rows it was fitted to.
    """

    point: Vectors
    label: IntArray
    reduced: Vectors
    fitted: int


def clustered(vectors: Vectors, seed: int = 0) -> Clustering:
    """The map and the clusters of some rows; ``vectors``: shape (n, d). Equal rows are one point. Raises ClusteringError."""
    rows, place = _different(vectors)
    if len(rows) == 1:
        raise ClusteringError(
            f"All {len(vectors)} texts are the same, so there are no clusters to find: choose another population or other windows."
        )
    if len(rows) <= NEIGHBOURS:
        raise ClusteringError(
            f"There are {len(rows)} different texts, and a map needs more than {NEIGHBOURS}: widen the windows, or choose a population "
            "with more texts (answers rather than prompts)."
        )
    reduced = pca(vectors[rows])
    some = np.arange(len(rows))
    if len(rows) > FITTED:
        some = np.sort(np.random.default_rng(seed).choice(len(rows), FITTED, replace=False))
    point = np.zeros((len(rows), 2), dtype=np.float32)
    label = np.full(len(rows), -1, dtype=np.int64)
    point[some] = _layout(reduced[some], seed)
    label[some] = _clusters(point[some])
    others = np.setdiff1d(np.arange(len(rows)), some)
    if len(others):
        point[others], label[others] = placed(reduced[others], reduced[some], point[some], label[some])
    return Clustering(point[place], label[place], reduced[place], len(some))


def pca(vectors: npt.NDArray[np.floating], components: int = COMPONENTS) -> Vectors:
    """The first principal components, at most as many as the vectors have numbers: shape (n, components)."""
    centred = np.asarray(vectors, dtype=np.float64)
    centred = centred - centred.mean(0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    kept = axes[:, ::-1][:, :components]
    kept = kept * np.sign(kept[np.abs(kept).argmax(0), np.arange(kept.shape[1])])
    return np.ascontiguousarray(centred @ kept, dtype=np.float32)


def placed(new: Vectors, known: Vectors, point: Vectors, label: IntArray) -> tuple[Vectors, IntArray]:
    """Where new rows belong on a map that is there, by their nearest NEIGHBOURS among the ``known`` rows (both reduced alike).

    A row is in the cluster that half of its neighbours or more are in, and in the middle of those; else it is in none.
    """
    _, near = _neighbours(new, known)
    theirs = label[near]
    alike = theirs[:, :, None] == theirs[:, None, :]
    votes = alike.sum(2)
    best = votes.argmax(1)
    row = np.arange(len(new))
    cluster = np.where(votes[row, best] * 2 >= near.shape[1], theirs[row, best], -1)
    weight = np.where((cluster >= 0)[:, None], theirs == cluster[:, None], True).astype(np.float32)
    middle = (point[near] * weight[:, :, None]).sum(1) / weight.sum(1)[:, None]
    return middle.astype(np.float32), cluster


def tfidf(texts: Sequence[str], seed: int = 0) -> Vectors:
    """Texts by their words: TF-IDF, then the first singular vectors (latent semantic analysis), each row of length 1 or 0.

    Raises ClusteringError where no word stands in two of them.
    """
    from sklearn.decomposition import TruncatedSVD  # type: ignore[import-untyped]
    from sklearn.feature_extraction.text import TfidfVectorizer  # type: ignore[import-untyped]

    least = 2 if len(texts) > 2 else 1
    try:
        weights = TfidfVectorizer(
            sublinear_tf=True,
            min_df=least,
            max_df=0.5,
            max_features=50_000,
            stop_words="english",
            token_pattern=_WORD,
        ).fit_transform(texts)
    except ValueError:
        raise ClusteringError(
            "No word stands in some of the texts and not in others, so their words tell nothing apart: choose the semantic view."
        ) from None
    components = min(COMPONENTS, weights.shape[1] - 1, len(texts) - 1)
    if components < 1:
        found = weights.toarray()
    else:
        found = TruncatedSVD(components, random_state=seed).fit_transform(weights)
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.asarray(found / np.where(length > 1e-9, length, 1), dtype=np.float32)


def named(texts: Sequence[str], label: IntArray, seed: int = 0) -> dict[int, list[str]]:
    """The words that tell each cluster from the others, from a sample of its texts; addresses are no words."""
    rows = np.random.default_rng(seed).permutation(len(label))
    rows = rows[label[rows] >= 0]
    order = rows[np.argsort(label[rows], kind="stable")]
    _, first, size = np.unique(label[order], return_index=True, return_counts=True)
    rank = np.arange(len(order)) - np.repeat(first, size)
    some = order[rank < NAMED_BY]
    counts, terms = _terms([_ADDRESS.sub(" ", texts[row][:CUT]) for row in some])
    return names(counts, terms, label[some]) if terms else {}


def _terms(texts: Sequence[str]) -> tuple[sparse.csr_array, list[str]]:
    from sklearn.feature_extraction.text import CountVectorizer

    several = len(texts) > 20
    counter = CountVectorizer(
        binary=True,
        min_df=2 if several else 1,
        max_df=0.5 if several else 1.0,
        max_features=20_000,
        stop_words="english",
        token_pattern=_WORD,
    )
    try:
        counts = counter.fit_transform(texts)
    except ValueError:
        return sparse.csr_array((len(texts), 0)), []
    return sparse.csr_array(counts), counter.get_feature_names_out().tolist()


def _different(vectors: Vectors) -> tuple[IntArray, IntArray]:
    """The rows that are not equal to an earlier one, and for each row its place among those."""
    whole = (
        np.ascontiguousarray(vectors)
        .view(np.dtype((np.void, vectors.dtype.itemsize * vectors.shape[1])))
        .ravel()
    )
    _, first, place = np.unique(whole, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[place].astype(np.int64)


def _neighbours(rows: Vectors, among: Vectors) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int32]]:
    """The distances to the nearest NEIGHBOURS, and which they are; exact, and much faster than an index that is built once."""
    from sklearn.neighbors import NearestNeighbors  # type: ignore[import-untyped]

    far, near = NearestNeighbors(n_neighbors=NEIGHBOURS, algorithm="brute").fit(among).kneighbors(rows)
    return far.astype(np.float32), near.astype(np.int32)


def _layout(reduced: Vectors, seed: int) -> Vectors:
    import umap  # type: ignore[import-untyped]

    far, near = _neighbours(reduced, reduced)
    known: tuple[Any, ...] = (near, far, None)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fit = umap.UMAP(
            n_neighbors=NEIGHBOURS,
            n_epochs=EPOCHS,
            min_dist=0.1,
            random_state=seed,
            n_jobs=1,
            precomputed_knn=known,
        )
        return np.asarray(fit.fit_transform(reduced), dtype=np.float32)


def _clusters(point: Vectors) -> IntArray:
    import hdbscan  # type: ignore[import-untyped]

    n = len(point)
    least = max(5, min(10, n // 20), round(SMALLEST * n))
    found = hdbscan.HDBSCAN(min_cluster_size=least, core_dist_n_jobs=1).fit(point.astype(np.float64))
    return np.asarray(found.labels_, dtype=np.int64)
