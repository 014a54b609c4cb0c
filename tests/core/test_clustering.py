"""Maps and clusters: topics that are known are found again, and what cannot be clustered says what is missing."""

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.metrics import adjusted_rand_score

from core import clustering
from core.clustering import NEIGHBOURS, ClusteringError, clustered, named, pca, placed, tfidf

WORDS = (
    "garden soil seeds roses pruning",
    "engine brakes gearbox diesel tyres",
    "violin opera quartet sonata choir",
)


def sphere(n: int, d: int, random: np.random.Generator) -> np.ndarray:
    x = random.normal(size=(n, d))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def topics(n: int, kinds: int, seed: int = 0, d: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors around ``kinds`` centres, and which centre each is of."""
    random = np.random.default_rng(seed)
    kind = random.integers(0, kinds, n)
    x = sphere(kinds, d, random)[kind] + 0.9 * sphere(n, d, random)
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), kind


def test_topics_are_found_again_and_the_seed_fixes_the_map() -> None:
    vectors, kind = topics(600, 6)
    found = clustered(vectors, seed=3)
    assert found.point.shape == (600, 2) and found.fitted == 600 and np.isfinite(found.point).all()
    assert adjusted_rand_score(kind, found.label) > 0.95
    again = clustered(vectors, seed=3)
    assert np.array_equal(found.point, again.point) and np.array_equal(found.label, again.label)


def test_equal_rows_are_one_point() -> None:
    vectors, _ = topics(120, 3)
    rows = np.r_[np.arange(120), np.zeros(500, dtype=int), 7, 7]
    found = clustered(vectors[rows])
    assert found.fitted == 120
    for name in ("point", "label", "reduced"):
        values = getattr(found, name)
        assert (values[120:620] == values[0]).all() and (values[620:] == values[7]).all()


def test_rows_beyond_the_fit_are_placed_by_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clustering, "FITTED", 300)
    vectors, kind = topics(1200, 5)
    found = clustered(vectors)
    assert found.fitted == 300
    assert adjusted_rand_score(kind, found.label) > 0.95
    for one in range(5):
        spread = np.linalg.norm(
            found.point[kind == one] - np.median(found.point[kind == one], axis=0), axis=1
        )
        assert np.median(spread) < np.ptp(found.point, axis=0).max() / 5


def test_a_new_row_joins_a_cluster_only_where_half_its_neighbours_are() -> None:
    known = np.r_[np.zeros((20, 2)), np.full((20, 2), 10.0)].astype(np.float32) + np.random.default_rng(
        0
    ).normal(0, 0.1, (40, 2)).astype(np.float32)
    label = np.r_[np.zeros(20, dtype=int), np.full(20, -1)]
    point, cluster = placed(np.array([[0.05, 0], [10, 10]], dtype=np.float32), known, known, label)
    assert cluster.tolist() == [0, -1]
    assert np.abs(point[0]).max() < 0.3 and np.abs(point[1] - 10).max() < 0.3


def test_components_are_those_of_scikit_learn() -> None:
    x = np.random.default_rng(1).normal(size=(80, 12)) * np.arange(1, 13)
    theirs = PCA(5).fit_transform(x)
    assert np.abs(pca(x, 5)) == pytest.approx(np.abs(theirs), rel=1e-3, abs=1e-3)
    assert pca(x).shape == (80, 12)


def test_words_tell_texts_apart_and_name_their_clusters() -> None:
    random = np.random.default_rng(2)
    kind = np.arange(150) % 3
    texts = [" ".join(["The answer is about", *random.choice(WORDS[k].split(), 4)]) + "." for k in kind]
    texts[0] = "garden " * 28_000
    vectors = tfidf(texts)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    assert adjusted_rand_score(kind, clustered(vectors).label) > 0.9
    for k, terms in named(texts, kind).items():
        assert len(terms) == 4 and all(set(term.split()) <= set(WORDS[k].split()) for term in terms), terms
    assert named(texts, np.full(150, -1)) == {}
    assert named(["12 34", "5"], np.array([0, 0])) == {}, "without a word there is no name"


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (np.ones((40, 8)), "All 40 texts are the same"),
        (
            np.eye(8)[np.arange(40) % 8],
            f"8 different texts, and a map needs more than {NEIGHBOURS}: widen the windows",
        ),
    ],
)
def test_what_cannot_be_clustered_says_what_would_mend_it(vectors: np.ndarray, said: str) -> None:
    with pytest.raises(ClusteringError, match=said):
        clustered(vectors.astype(np.float32))


@pytest.mark.parametrize("texts", [["1", "2", "3"], ["same words"] * 9, []])
def test_words_that_tell_nothing_apart_are_said_to(texts: list[str]) -> None:
    with pytest.raises(ClusteringError, match="choose the semantic view"):
        tfidf(texts)


def test_few_words_are_enough() -> None:
    assert tfidf(["apple tree", "apple pie", "pear tree", "pear pie"]).shape[0] == 4
