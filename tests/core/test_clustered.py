"""Clustered intervals against statsmodels, what relabelling may not change, and what cannot be told."""

import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.sandwich_covariance import cov_cluster, cov_cluster_2groups

from core import clustered
from core.agreement import proportion
from core.clustered import FEW, ONE_PROMPT, Clusters

RNG = np.random.default_rng(5)
N, RUNS = 600, 1000
PROMPT, ANNOTATOR = RNG.integers(0, 40, N), RNG.integers(0, 15, N)
OF = Clusters(PROMPT, ANNOTATOR)
X = np.column_stack([RNG.choice([-1.0, 1.0], N), RNG.normal(size=N) + RNG.normal(size=40)[PROMPT]])
Y = (RNG.random(N) < 1 / (1 + np.exp(-X @ [0.3, 0.8] - RNG.normal(size=15)[ANNOTATOR]))).astype(float)


def half_widths(estimates: list[clustered.Estimate]) -> np.ndarray:
    return np.array([(e.high - e.low) / 2 for e in estimates])


def two_way(both: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Diagonals of the covariances of statsmodels, never less than the smaller one-way."""
    return np.maximum(np.diag(both), np.minimum(np.diag(first), np.diag(second)))


def test_logistic_equals_statsmodels() -> None:
    fitted = sm.Logit(Y, X).fit(disp=0)
    found = clustered.logistic(X, Y, OF)
    assert [e.value for e in found] == pytest.approx(fitted.params)
    variance = two_way(*cov_cluster_2groups(fitted, PROMPT, ANNOTATOR))
    t = 2.144786687916928  # the 97.5% point of Student's t on 14 degrees of freedom
    correction = np.sqrt((N - 1) / (N - 2))  # statsmodels', for the number of coefficients
    assert half_widths(found) * correction == pytest.approx(t * np.sqrt(variance), rel=1e-6)


@pytest.mark.parametrize("within", [False, True])
def test_difference_equals_statsmodels(within: bool) -> None:
    groups = RNG.integers(0, 30, N)
    dummies = (groups[:, None] == np.arange(30)).astype(float) if within else np.ones((N, 1))
    fitted = sm.OLS(Y, np.column_stack([X[:, 1], dummies])).fit()
    found = clustered.difference(Y, X[:, 1], OF, groups if within else None)
    assert found.value == pytest.approx(fitted.params[0])
    variance = two_way(*cov_cluster_2groups(fitted, PROMPT, ANNOTATOR))[0]
    correction = np.sqrt((N - 1) / (N - 1 - dummies.shape[1]))
    assert half_widths([found])[0] * correction == pytest.approx(
        2.144786687916928 * np.sqrt(variance), rel=1e-6
    )


def test_a_share_is_wilsons_on_the_effective_sample_size() -> None:
    fitted = sm.OLS(Y, np.ones(N)).fit()
    variance = (
        two_way(*cov_cluster_2groups(fitted, PROMPT, ANNOTATOR))[0]
        * (2.144786687916928 / 1.9639322489452784) ** 2
    )
    p = Y.mean()
    effective = N / (N - 1) * p * (1 - p) / variance
    low, high = sm.stats.proportion_confint(p * effective, effective, method="wilson")
    found = clustered.share(Y, OF, "")
    assert (found.value, found.n) == (pytest.approx(p), N)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3)


def test_of_few_annotators_the_interval_is_over_prompts_alone() -> None:
    few = Clusters(PROMPT, ANNOTATOR % (FEW - 1))
    fitted = sm.Logit(Y, X).fit(disp=0)
    t = 2.022690920036762  # 39 degrees of freedom
    found = half_widths(clustered.logistic(X, Y, few)) * np.sqrt((N - 1) / (N - 2))
    assert found == pytest.approx(t * np.sqrt(np.diag(cov_cluster(fitted, PROMPT))), rel=1e-6)


def test_one_prompt_gives_a_value_without_an_interval() -> None:
    one = Clusters(np.zeros(N, dtype=np.int64), ANNOTATOR)
    for found in (
        clustered.share(Y, one, ""),
        clustered.difference(Y, X[:, 0], one),
        *clustered.logistic(X, Y, one),
    ):
        assert found.value is not None and found.low is None and found.reason == clustered.ONE_PROMPT


def test_what_cannot_be_told() -> None:
    assert clustered.share(np.empty(0), OF.take(np.empty(0, dtype=np.int64)), "Nothing.").reason == "Nothing."
    assert clustered.difference(Y, np.ones(N), OF).value is None
    never, separated, other = clustered.logistic(np.column_stack([np.zeros(N), 2 * Y - 1, X[:, 0]]), Y, OF)
    assert never.value is None and never.n == 0
    assert separated.reason == clustered.SEPARATED and separated.n == N
    assert other.n == N


def test_columns_that_are_one_another_share_their_effect() -> None:
    alone, twice = clustered.logistic(X, Y, OF)[1], clustered.logistic(X[:, [1, 1]], Y, OF)
    single = clustered.logistic(X[:, [1]], Y, OF)[0]
    assert alone.value != single.value
    assert [e.value for e in twice] == pytest.approx([single.value / 2] * 2)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 14), st.booleans()), min_size=1, max_size=80),
    st.randoms(),
)
def test_names_and_order_do_not_matter_and_the_interval_holds_the_share(
    rows: list[tuple[int, int, bool]], random: object
) -> None:
    prompt, annotator, value = (np.array(column) for column in zip(*rows, strict=True))
    found = clustered.share(value.astype(float), Clusters(prompt, annotator), "")
    order = np.random.default_rng(len(rows)).permutation(len(rows))
    renamed = Clusters((7 * prompt + 3)[order], (14 - annotator)[order])
    again = clustered.share(value[order].astype(float), renamed, "")
    for ours, theirs in zip(
        (found.value, found.low, found.high), (again.value, again.low, again.high), strict=True
    ):
        assert ours == (None if theirs is None else pytest.approx(theirs))
    if found.low is not None:
        assert 0 <= found.low <= found.value <= found.high <= 1


def test_without_clusters_it_is_wilsons_interval() -> None:
    value = np.array([1.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 1.0])
    (found,) = clustered.shares(value, np.zeros(8, int), 1, np.arange(8), "")
    wilson = proportion(6, 8)
    assert (found.value, found.n) == (0.75, 8)
    assert (found.low, found.high) == pytest.approx((wilson.low, wilson.high))


def test_judgements_that_repeat_each_other_count_once() -> None:
    value = np.repeat(np.array([1.0, 0.0] * 10), 5)
    cluster = np.repeat(np.arange(20), 5)
    (found,) = clustered.shares(value, np.zeros(100, int), 1, cluster, "")
    alone = proportion(10, 20)
    assert found.n == 100
    assert found.low == pytest.approx(alone.low, abs=0.03)


def test_where_all_say_the_same_the_clusters_count() -> None:
    (found,) = clustered.shares(np.ones(100), np.zeros(100, int), 1, np.repeat(np.arange(20), 5), "")
    assert (found.value, found.low, found.high) == (1.0, proportion(20, 20).low, 1.0)


def test_an_empty_cell_and_a_cell_of_one_cluster_say_why() -> None:
    none, one = clustered.shares(np.array([1.0, 0.0]), np.array([1, 1]), 2, np.array([0, 0]), "Nothing.")
    assert (none.value, none.n) == (None, 0) and none.reason == "Nothing."
    assert (one.value, one.low, one.n) == (0.5, None, 2) and one.reason == ONE_PROMPT


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
    found = clustered.shares((draw < p) * 1.0, cell, RUNS, cluster, "")
    covered = np.mean([e.low <= p <= e.high for e in found])
    assert 0.93 <= covered <= 0.97
