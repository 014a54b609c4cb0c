"""The global tests: their statistics against plain formulas and scikit-learn, their p-values by simulation."""

import numpy as np
import pytest
from scipy.stats import binomtest, chi2_contingency
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel

from core.two_samples import FOLDS, LEAST, Evidence, categories, classifier, mmd, one_each

TESTS = (mmd, classifier)


def test_mmd_is_the_formula_of_gretton() -> None:
    random = np.random.default_rng(0)
    x, after = random.normal(size=(60, 4)), np.arange(60) % 3 == 0
    x[after] += 0.5
    apart = np.linalg.norm(x[:, None] - x[None], axis=2)[np.triu_indices(60, 1)]
    kernel = rbf_kernel(x, gamma=1 / (2 * np.median(apart**2)))
    inside, across = (
        (kernel[np.ix_(after, after)].mean(), kernel[np.ix_(~after, ~after)].mean()),
        kernel[np.ix_(after, ~after)].mean(),
    )
    assert mmd(x, after).figure.value == pytest.approx(np.sqrt(sum(inside) - 2 * across), rel=1e-4)


def test_the_classifier_is_judged_on_what_it_has_not_seen() -> None:
    """Its area is the mean of scikit-learn's over the folds, weighted by pairs; and of noise it makes nothing."""
    random = np.random.default_rng(1)
    x, after = random.normal(size=(200, 150)), random.random(200) < 0.5
    nothing = classifier(x, after)
    assert nothing.figure.value is not None and abs(nothing.figure.value - 0.5) < 0.12
    x[after, 0] += 3
    fold = np.random.default_rng(0).permutation(np.arange(200) % FOLDS)
    ridge, centred = ((x - x.mean(0)) ** 2).sum() / 150, x - x.mean(0)
    areas, weights = [], []
    for k in range(FOLDS):
        train = fold != k
        inside = centred[train] - centred[train].mean(0)
        beta = np.linalg.solve(
            inside.T @ inside + ridge * np.eye(150), inside.T @ (after[train] - after[train].mean())
        )
        areas.append(roc_auc_score(after[~train], centred[~train] @ beta))
        weights.append(after[~train].sum() * (~after[~train]).sum())
    found = classifier(x, after)
    assert found.figure.value == pytest.approx(np.average(areas, weights=weights))
    low, high = found.figure.low, found.figure.high
    assert low is not None and high is not None and 0.5 < low < found.figure.value < high <= 1
    assert (
        found.p_value is not None and found.p_value <= 0.01 and found.limit is not None and found.limit < low
    )


@pytest.mark.parametrize("test", TESTS)
def test_where_nothing_differs_one_in_twenty_is_called_different(test: object) -> None:
    random = np.random.default_rng(2)
    p = []
    for run in range(120):
        x, after = random.normal(size=(40, 3)), random.random(40) < 0.5
        found = test(x, after, permutations=59, seed=run)  # type: ignore[operator]
        p.append(found.p_value)
    values = np.array(p, dtype=float)
    assert binomtest(int((values <= 0.05).sum()), 120, 0.05, alternative="greater").pvalue > 0.01
    assert 0.4 < values.mean() < 0.62


@pytest.mark.parametrize("test", TESTS)
def test_a_shift_of_the_mean_is_found(test: object) -> None:
    random = np.random.default_rng(3)
    x, after = random.normal(size=(400, 20)), np.arange(400) >= 200
    x[after] += 0.15
    found = test(x, after)  # type: ignore[operator]
    assert found.p_value <= 0.01 and found.figure.value > found.limit


def test_a_change_of_spread_alone_is_found_by_mmd() -> None:
    random = np.random.default_rng(4)
    x, after = random.normal(size=(400, 5)), np.arange(400) >= 200
    x[after] *= 1.5
    assert mmd(x, after).p_value == pytest.approx(0.002)


def test_labels_are_tested_as_by_chi_squared() -> None:
    random = np.random.default_rng(5)
    after = np.arange(500) >= 300
    code = np.where(after, random.choice(3, 500, p=(0.4, 0.4, 0.2)), random.choice(3, 500, p=(0.5, 0.3, 0.2)))
    table = [np.bincount(code[side], minlength=3) for side in (~after, after)]
    found = categories(code, after)
    assert found.p_value == pytest.approx(chi2_contingency(table).pvalue, abs=0.02)
    first, last = (row / row.sum() for row in table)
    assert found.figure.value == pytest.approx(np.abs(first - last).sum() / 2)
    assert found.limit is None, "the p-value is not that of the distance"


@pytest.mark.parametrize("test", TESTS)
def test_what_cannot_be_tested_says_why(test: object) -> None:
    def told(x: np.ndarray, after: np.ndarray) -> str:
        found: Evidence = test(x, after)  # type: ignore[operator]
        assert found.figure.value is found.p_value is found.limit is None
        return found.figure.reason or ""

    x = np.ones((40, 3))
    assert "same vector" in told(x, np.arange(40) > 20)
    assert f"second window has 0 rows that are not alike; the test needs {LEAST}" in told(
        x, np.zeros(40, dtype=bool)
    )
    assert "first window has 3" in told(np.arange(40.0)[:, None], np.arange(40) >= 3)


def test_one_label_for_all_says_so() -> None:
    assert "same label" in (categories(np.zeros(40, dtype=int), np.arange(40) > 20).figure.reason or "")


def test_one_row_of_each_group() -> None:
    group = np.array([3, 3, 1, 1, 1, 7])
    rows = one_each(group)
    assert group[rows].tolist() == [3, 1, 7] and (np.diff(rows) > 0).all()
    assert len({tuple(one_each(group, seed)) for seed in range(40)}) == 6, "each row may be the one"
