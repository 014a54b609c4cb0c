"""Shares in cells: their values, why there are none, and that their intervals cover the truth though judgements go together."""

import numpy as np
import pytest

from core.agreement import proportion
from core.shares import shares

RUNS = 1000


def test_without_clusters_it_is_wilsons_interval() -> None:
    value = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    (found,) = shares(value, np.zeros(8, int), 1, np.arange(8))
    wilson = proportion(6, 8)
    assert (found.value, found.n) == (0.75, 8)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high))


def test_judgements_that_repeat_each_other_count_once() -> None:
    value = np.repeat(np.array([1.0, 0.0] * 10), 5)
    cluster = np.repeat(np.arange(20), 5)
    (found,) = shares(value, np.zeros(100, int), 1, cluster)
    alone = proportion(10, 20)
    assert found.n == 100
    assert found.low == pytest.approx(alone.low, abs=0.03)


def test_where_all_say_the_same_the_clusters_count() -> None:
    (found,) = shares(np.ones(100), np.zeros(100, int), 1, np.repeat(np.arange(20), 5))
    assert (found.value, found.low, found.high) == (1.0, proportion(20, 20).low, 1.0)


def test_an_empty_cell_and_a_cell_of_one_cluster_say_why() -> None:
    none, one = shares(np.array([1.0, 0.0]), np.array([1, 1]), 2, np.array([0, 0]), "prompt")
    assert (none.value, none.n) == (None, 0) and "no such judgement" in none.reason
    assert (one.value, one.low, one.n) == (0.5, None, 2) and "one prompt" in one.reason


@pytest.mark.parametrize(("p", "together"), [(0.5, 0.5), (0.8, 0.3), (0.65, 0.0)])
def test_the_interval_covers_the_truth_where_judgements_of_a_cluster_go_together(
    p: float, together: float
) -> None:
    """Each cell is a run: 60 clusters of 1 to 9 judgements, each following its cluster's own coin with probability ``together``."""
    rng = np.random.default_rng(5)
    sizes = rng.integers(1, 10, RUNS * 60)
    cluster = np.repeat(np.arange(RUNS * 60), sizes)
    cell = cluster // 60
    coin = rng.random(RUNS * 60)[cluster]
    draw = np.where(rng.random(len(cluster)) < together, coin, rng.random(len(cluster)))
    found = shares((draw < p) * 1.0, cell, RUNS, cluster)
    covered = np.mean([e.low <= p <= e.high for e in found])
    assert 0.93 <= covered <= 0.97
