"""Names of clusters by hand, and numbers that stay with their clusters from run to run."""

import numpy as np
from scipy import sparse

from core.topics import carried_over, names

TERMS = ["the", "cat", "fur", "tax", "law"]


def test_terms_that_tell_a_cluster_from_the_others_name_it() -> None:
    counts = np.array([[3, 1, 1, 0, 0]] * 4 + [[2, 0, 0, 1, 0]] * 3 + [[2, 0, 0, 1, 1], [1, 0, 0, 0, 0]])
    label = np.array([7] * 4 + [2] * 4 + [-1])
    found = names(sparse.csr_array(counts), TERMS, label)
    assert found == {7: ["cat", "fur", "the"], 2: ["tax", "the", "law"]}
    assert names(sparse.csr_array(counts), TERMS, label, most=1) == {7: ["cat"], 2: ["tax"]}
    assert names(sparse.csr_array(counts), TERMS, np.full(9, -1)) == {}


def test_scores_are_those_of_the_paper() -> None:
    """tf * log(1 + A / f) on two classes of presence counts, where the order depends on it."""
    counts = np.array([[1, 1, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1], [1, 0, 1], [0, 0, 1]])
    label = np.array([0, 0, 0, 1, 1, 1])
    average = counts.sum() / 2
    tf = np.array([3, 2, 0]) / 5
    score = tf * np.log1p(average / counts.sum(0))
    order = [["x", "y", "z"][i] for i in np.argsort(-score) if score[i] > 0]
    assert names(sparse.csr_array(counts), ["x", "y", "z"], label)[0] == order


def test_parts_of_one_topic_are_named_by_what_tells_them_apart() -> None:
    terms = ["india", "lead", "world", "poverty", "software", "bread"]
    common = [1, 1, 1, 0, 0, 0]
    counts = np.array(
        [common] * 6
        + [[1, 1, 1, 1, 0, 0]] * 4
        + [common] * 6
        + [[1, 1, 1, 0, 1, 0]] * 4
        + [[0, 0, 0, 0, 0, 1]] * 9
    )
    found = names(sparse.csr_array(counts), terms, np.repeat([0, 1, 2], [10, 10, 9]))
    assert (
        found[0][:2] == ["india", "poverty"]
        and found[1][:2] == ["india", "software"]
        and found[2] == ["bread"]
    )


def test_one_long_text_names_no_cluster() -> None:
    counts = np.array([[1, 0]] * 5 + [[0, 5000]] + [[0, 0]] * 3)
    assert names(sparse.csr_array(counts), ["common", "rare"], np.array([0] * 6 + [1] * 3))[0][0] == "common"


def test_a_cluster_keeps_its_number_and_a_new_one_gets_one_that_was_never_used() -> None:
    before = {f"r{i}": i // 10 for i in range(30)}
    now = {f"r{i}": {0: 5, 1: -1, 2: 3}[i // 10] for i in range(30)} | {f"new{i}": 4 for i in range(8)}
    assert carried_over(before, now) == {5: 0, 3: 2, 4: 3}
    assert carried_over(before, now, free=12) == {5: 0, 3: 2, 4: 12}
    assert carried_over({}, now) == {3: 0, 4: 1, 5: 2}


def test_the_assignment_is_the_best_one_as_a_whole() -> None:
    before = {f"r{i}": 0 for i in range(10)} | {f"s{i}": 1 for i in range(10)}
    now = {f"r{i}": 8 for i in range(10)} | {f"s{i}": 8 if i < 4 else 9 for i in range(10)}
    assert carried_over(before, now) == {8: 0, 9: 1}


def test_without_rows_in_common_the_centroids_decide() -> None:
    before, now = {"a": 0, "b": 1}, {"c": 0, "d": 1}
    east, north = np.array([1.0, 0.0]), np.array([0.05, 1.0])
    assert carried_over(before, now, {0: east, 1: north}, {0: north, 1: np.array([-1.0, 0.2])}) == {
        0: 1,
        1: 2,
    }
