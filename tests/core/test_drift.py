"""Drift by cluster: against scipy and statsmodels where rows are unalike, and by simulation where they are not."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest, fisher_exact, ttest_1samp, ttest_ind
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from core.drift import Rows, alarms, by_cluster, calibration, design_effect, labels, two_shares

RANDOM = np.random.default_rng(5)


def plain(after: np.ndarray, **known: np.ndarray) -> Rows:
    return Rows.of(after, np.arange(len(after)), **known)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=80))
def test_rows_that_are_not_alike_get_fishers_test_and_wilsons_interval(
    drawn: list[tuple[bool, bool]],
) -> None:
    hit, second = np.array(drawn).T
    first, last, p = two_shares(hit, second, np.arange(len(hit)))
    table = [[int((hit & side).sum()), int((~hit & side).sum())] for side in (~second, second)]
    for found, (hits, misses) in zip((first, last), table, strict=True):
        if hits + misses == 0:
            assert p is None and found.value is None and found.reason
            return
        low, high = proportion_confint(hits, hits + misses, method="wilson")
        assert (found.value, found.n) == (pytest.approx(hits / (hits + misses)), hits + misses)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))
    assert p == pytest.approx(fisher_exact(table).pvalue)


def test_rows_said_several_times_count_about_once() -> None:
    hit, second = RANDOM.random(400) < 0.1, RANDOM.random(400) < 0.5
    once = two_shares(hit, second, np.arange(400))
    often = two_shares(np.repeat(hit, 5), np.repeat(second, 5), np.repeat(np.arange(400), 5))
    for a, b in zip(once[:2], often[:2], strict=True):
        assert a.value == pytest.approx(b.value) and a.low == pytest.approx(b.low, abs=1e-3)
        assert b.n == 5 * a.n
    assert once[2] == pytest.approx(often[2], rel=0.1)
    one_text = two_shares(
        np.r_[np.ones(50), np.zeros(450)] > 0,
        np.arange(500) < 250,
        np.r_[np.zeros(50), np.arange(1, 451)].astype(int),
    )
    assert one_text[2] == 1, "one text that was said 50 times is one"


def test_the_design_effect_is_that_of_equal_groups() -> None:
    """1 + (m - 1) rho (Kish 1965): m rows a group, alike with correlation rho."""
    m, rho, groups = 4, 0.5, 20_000
    common = RANDOM.random(groups)[:, None] < 0.2
    own = RANDOM.random((groups, m)) < 0.2
    hit = np.where(RANDOM.random((groups, m)) < np.sqrt(rho), common, own).ravel()
    assert design_effect(hit, np.repeat(np.arange(groups), m)) == pytest.approx(1 + (m - 1) * rho, rel=0.05)
    assert design_effect(hit[:3] | True, np.zeros(3, dtype=int)) == 3
    assert design_effect(np.zeros(6, dtype=bool), np.array([0, 0, 0, 0, 1, 1])) == pytest.approx(20 / 6)


@pytest.mark.parametrize("m", [1, 2, 6])
def test_without_drift_few_runs_have_any_alarm(m: int) -> None:
    """25 clusters of unequal size, m rows a group that are mostly in one cluster."""
    random = np.random.default_rng(m)
    runs, any_alarm, single = 60, 0, list[bool]()
    for _ in range(runs):
        groups = 1200 // m
        share = random.dirichlet(np.ones(25))
        label = np.repeat(random.choice(25, groups, p=share), m)
        label = np.where(random.random(len(label)) < 0.2, random.choice(25, len(label), p=share), label)
        found = by_cluster(
            label, Rows.of(np.repeat(random.random(groups) < 0.4, m), np.repeat(np.arange(groups), m))
        )
        any_alarm += bool(alarms(found))
        single += [c.share.change.p <= 0.05 for c in found if c.share.change]
    assert binomtest(any_alarm, runs, 0.05, alternative="greater").pvalue > 0.01, any_alarm
    assert np.mean(single) < 0.06


def test_a_cluster_that_came_is_found_and_comes_first() -> None:
    label = RANDOM.integers(0, 20, 3000)
    after = np.arange(3000) >= 1500
    label[1500:1530] = 20
    found = by_cluster(label, plain(after))
    assert [c.cluster for c in alarms(found)] == [20] and found[0].cluster == 20
    share = found[0].share
    assert (share.before.value, share.after.value, share.after.n) == (0, 0.02, 1500)
    assert (
        share.before.high is not None and share.after.low is not None and share.before.high < share.after.low
    )
    assert sum(c.n for c in found) == 3000
    changes = [c.share.change for c in found if c.share.change]
    assert multipletests([c.p for c in changes], method="fdr_bh")[1] == pytest.approx(
        [c.adjusted for c in changes]
    )


def test_rows_in_no_cluster_count_in_the_shares_alone() -> None:
    label = np.array([0, 0, -1, -1, 0, -1, -1, -1])
    (found,) = by_cluster(label, plain(np.arange(8) >= 4))
    assert (found.cluster, found.n, found.share.before.value, found.share.after.value) == (0, 3, 0.5, 0.25)


def test_error_gap_and_flips_are_those_of_the_rows() -> None:
    n = 600
    label, after = np.arange(n) % 3, np.arange(n) >= n // 2
    p = RANDOM.uniform(0.05, 0.95, n)
    y = np.where(RANDOM.random(n) < p, 1.0, 0.0)
    y[label == 1] = 1 - y[label == 1]
    other = np.where(label == 2, 1 - p, p)
    y[:30] = 0.5
    rows = plain(after, probability=p, target=y, other=other)
    found = {c.cluster: c for c in by_cluster(label, rows)}
    wrong = (p > 0.5) != (y > 0.5)
    known = y != 0.5
    for name, cluster in found.items():
        inner = known & (label == name)
        assert cluster.error.whole.value == pytest.approx(wrong[inner].mean())
        assert cluster.error.whole.n == inner.sum()
        assert cluster.error.before.value == pytest.approx(wrong[inner & ~after].mean())
        table = [
            [int((wrong & part).sum()), int((~wrong & part).sum())]
            for part in (known & (label != name), inner)
        ]
        assert cluster.error.apart is not None
        assert cluster.error.apart.p == pytest.approx(fisher_exact(table).pvalue)
        gap = (np.maximum(p, 1 - p) - np.where(p > 0.5, y, 1 - y))[label == name]
        assert cluster.gap.whole.value == pytest.approx(gap.mean())
        exact = ttest_1samp(gap, 0)
        assert cluster.gap.apart is not None and cluster.gap.apart.p == pytest.approx(exact.pvalue)
        assert cluster.gap.whole.low == pytest.approx(exact.confidence_interval().low)
        side = after[label == name]
        assert cluster.gap.change is not None
        assert cluster.gap.change.p == pytest.approx(
            ttest_ind(gap[side], gap[~side], equal_var=False).pvalue, abs=0.03
        )
    assert [found[i].flips.whole.value for i in range(3)] == [0, 0, 1]
    assert found[1].error.apart.adjusted < 1e-6 and found[1].gap.whole.value > 0.2  # type: ignore[union-attr]


def test_what_is_not_known_is_said() -> None:
    (found,) = by_cluster(np.zeros(20, dtype=int), plain(np.arange(20) >= 10))
    for figure in (found.error, found.gap, found.flips):
        assert (
            figure.whole.value is None
            and figure.whole.reason
            and figure.change is None
            and figure.apart is None
        )
    few = Rows.of(np.arange(20) >= 10, np.arange(20) % 3, probability=np.full(20, 0.7), target=np.ones(20))
    (found,) = by_cluster(np.zeros(20, dtype=int), few)
    assert found.gap.whole.low is None and "3 groups" in (found.gap.whole.reason or "")
    same = plain(np.arange(20) >= 10, probability=np.full(20, 0.7), target=np.ones(20))
    (found,) = by_cluster(np.zeros(20, dtype=int), same)
    assert (
        found.gap.whole.low is None
        and "not vary" in (found.gap.whole.reason or "")
        and found.gap.change is None
    )
    assert by_cluster(np.full(4, -1), plain(np.arange(4) > 1)) == []


def test_a_file_may_say_itself_what_is_an_error() -> None:
    error = np.array([1, 0, np.nan, 0])
    rows = plain(
        np.arange(4) > 1, error=error, probability=np.array([0.9, 0.9, 0.1, np.nan]), target=np.ones(4)
    )
    assert np.array_equal(rows.error, [1, 0, 1, 0])


def test_labels_that_shift_are_found() -> None:
    after = np.arange(800) >= 400
    code = np.where(after, RANDOM.choice(3, 800, p=(0.3, 0.5, 0.2)), RANDOM.choice(3, 800, p=(0.5, 0.3, 0.2)))
    found = labels(code, after, np.arange(800))
    assert [bool(f.change and f.change.adjusted < 0.05) for f in found] == [True, True, False]
    assert sum(f.after.value or 0 for f in found) == pytest.approx(1)


def drawn(n: int, random: np.random.Generator, true: float) -> tuple[np.ndarray, np.ndarray]:
    p = random.uniform(0.05, 0.95, n)
    logit = true * np.log(p / (1 - p))
    return p, (random.random(n) < 1 / (1 + np.exp(-logit))).astype(float)


def test_calibration_that_does_not_drift_is_rarely_called_drifting_and_one_that_does_is_found() -> None:
    random = np.random.default_rng(8)
    called = {}
    for after in (1.0, 0.4):
        hits = 0
        for _ in range(30):
            (p, y), (q, z) = drawn(300, random, 1.0), drawn(300, random, after)
            found = calibration(np.r_[p, q], np.r_[y, z], np.arange(600) >= 300, np.arange(600), draws=50)
            assert found.p_value is not None
            hits += found.p_value <= 0.05
        called[after] = hits
    assert called[1.0] <= 5 and called[0.4] >= 27, called
    assert found.gap_after.value is not None and found.gap_after.value > 0.05
    assert found.ece_after.low is not None and found.ece_before.value is not None


def test_calibration_needs_both_windows() -> None:
    p, y = drawn(40, RANDOM, 1.0)
    assert calibration(p, y, np.ones(40, dtype=bool), np.arange(40)).reason
    few = calibration(p, y, np.arange(40) > 34, np.arange(40))
    assert few.p_value is None and "needs 20" in (few.reason or "")
    assert calibration(p[:0], y[:0], np.zeros(0, dtype=bool), np.arange(0)).gap_before.value is None
