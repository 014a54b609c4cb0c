"""Comparing predictors: against statsmodels and hand counts, and intervals that hold the truth as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score
from sklearn.metrics import log_loss as sklearn_log_loss
from statsmodels.stats.contingency_tables import mcnemar

from core import comparing
from core.calibration import Predictions
from core.comparing import compare, quality

P = [0.9, 0.2, 0.6, 0.5, 0.4, 0.7]
Y = [1.0, 0.0, 0.4, 1.0, 0.8, 0.5]


def test_policies_for_ties_and_undecided_predictions() -> None:
    """Right, right, wrong, half right, wrong; the tie is left out of accuracy and kept in log loss."""
    predictions = Predictions.of(P, Y)
    found = comparing.quality(predictions)
    assert (found.accuracy.value, found.accuracy.n) == (2.5 / 5, 5)
    p, y = np.array(P), np.array(Y)
    assert found.log_loss.value == pytest.approx(-(y * np.log(p) + (1 - y) * np.log(1 - p)).mean())
    assert found.log_loss.n == found.ece.n == 6

    ties = comparing.quality(Predictions.of([0.3, 0.4], [0.5, 0.5]))
    assert ties.accuracy.value is None and "preferred neither" in (ties.accuracy.reason or "")
    assert ties.log_loss.value is not None
    nothing = comparing.quality(Predictions.of([], []))
    assert all(e.value is None and e.reason for e in (nothing.accuracy, nothing.log_loss, nothing.ece))
    one = comparing.accuracy(Predictions.of([0.9, 0.8], [1, 0], groups=["x", "x"]))
    assert (one.value, one.low, one.n) == (0.5, None, 2) and "one group" in (one.reason or "")


def test_figures_are_those_of_scikit_learn() -> None:
    random = np.random.default_rng(2)
    p = random.random(500)
    y = (random.random(500) < p).astype(float)
    found = comparing.quality(Predictions.of(p, y))
    assert found.accuracy.value == pytest.approx(accuracy_score(y, p > 0.5))
    assert found.log_loss.value == pytest.approx(sklearn_log_loss(y, p))
    for estimate in (found.accuracy, found.log_loss, found.ece):
        assert estimate.low < estimate.value < estimate.high  # type: ignore[operator]
    weight = random.integers(1, 5, 500)
    weighted = comparing.accuracy(Predictions.of(p, y, weight))
    assert weighted.value == pytest.approx(accuracy_score(y, p > 0.5, sample_weight=weight))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans(), st.booleans()), min_size=2, max_size=60))
def test_mcnemar_is_that_of_statsmodels_and_flips_are_where_they_are(
    rows: list[tuple[bool, bool, bool]],
) -> None:
    p, q, y = np.array(rows).T.astype(float)
    found = compare(Predictions.of(0.2 + 0.6 * p, y), Predictions.of(0.2 + 0.6 * q, y))
    right = [(bool(a == t), bool(b == t)) for a, b, t in zip(p, q, y, strict=True)]
    assert found.gained.tolist() == [i for i, pair in enumerate(right) if pair == (False, True)]
    assert found.lost.tolist() == [i for i, pair in enumerate(right) if pair == (True, False)]
    table = [[sum(pair == (x, z) for pair in right) for z in (True, False)] for x in (True, False)]
    if len(found.gained) + len(found.lost):
        assert found.p_value == pytest.approx(mcnemar(table, exact=True).pvalue)
    else:
        assert found.p_value == 1
    assert found.accuracy.value == pytest.approx((q == y).mean() - (p == y).mean())
    assert found.accuracy.low < found.accuracy.high  # type: ignore[operator]


def test_the_other_way_round_is_the_opposite() -> None:
    random = np.random.default_rng(3)
    p, q = random.random((2, 300))
    y, groups = random.integers(0, 3, 300) / 2, random.integers(0, 40, 300)
    first, second = Predictions.of(p, y, groups=groups), Predictions.of(q, y, groups=groups)
    there, back = compare(first, second), compare(second, first)
    for name in ("accuracy", "log_loss"):
        a, b = getattr(there, name), getattr(back, name)
        assert (a.value, a.low, a.high) == pytest.approx((-b.value, -b.high, -b.low))
    assert there.gained.tolist() == back.lost.tolist() and there.p_value == back.p_value
    flipped = compare(
        Predictions.of(1 - p, 1 - y, groups=groups), Predictions.of(1 - q, 1 - y, groups=groups)
    )
    assert flipped.accuracy == there.accuracy and flipped.log_loss.value == pytest.approx(
        there.log_loss.value
    )


def test_figures_that_do_not_vary_still_have_an_interval() -> None:
    perfect = comparing.accuracy(Predictions.of([0.9] * 30, [1.0] * 30))
    assert perfect.value == perfect.high == 1 and perfect.low == pytest.approx(0.886, abs=0.001)
    nil = comparing.accuracy(Predictions.of([0.1] * 30, [1.0] * 30))
    assert nil.value == nil.low == 0 and nil.high == pytest.approx(0.114, abs=0.001)
    good, bad = Predictions.of([0.9] * 30, [1.0] * 30), Predictions.of([0.1] * 30, [1.0] * 30)
    same = compare(good, good).accuracy
    assert same.value == 0 and same.high == pytest.approx(0.114, abs=0.001) and same.low == -same.high  # type: ignore[operator]
    worse = compare(good, bad).accuracy
    assert worse.low == worse.value == -1 and worse.high == pytest.approx(-0.886, abs=0.001)


def test_only_the_same_pairs_are_compared() -> None:
    first = Predictions.of([0.1, 0.2], [0, 1])
    for other in (Predictions.of([0.1], [0]), Predictions.of([0.1, 0.2], [1, 0]), Predictions.of([0.1, 0.2], [0, 1], groups=["x", "x"])):  # fmt: skip
        with pytest.raises(ValueError, match="on the same pairs"):
            compare(first, other)


def test_categories_are_compared_apart() -> None:
    random = np.random.default_rng(4)
    p, q = random.random((2, 120))
    y = random.integers(0, 2, 120).astype(float)
    category = ["math" if i % 3 else "coding" for i in range(120)]
    groups = [f"g{i // 4}" for i in range(120)]
    first, second = Predictions.of(p, y, groups=groups), Predictions.of(q, y, groups=groups)
    found = comparing.by_category(first, second, category)
    assert list(found) == ["math", "coding"]
    whole = compare(first, second)
    assert sorted([*found["math"].gained, *found["coding"].gained]) == whole.gained.tolist()
    assert all(category[i] == name for name, part in found.items() for i in [*part.gained, *part.lost])
    math = [i for i, name in enumerate(category) if name == "math"]
    assert found["math"].log_loss.value == pytest.approx(sklearn_log_loss(y[math], q[math]) - sklearn_log_loss(y[math], p[math]))  # fmt: skip


def test_a_learning_curve_has_its_gains() -> None:
    y = np.ones(40)
    points = {100: np.where(np.arange(40) < 20, 0.8, 0.2), 400: np.where(np.arange(40) < 34, 0.8, 0.2), 200: np.where(np.arange(40) < 30, 0.8, 0.2)}  # fmt: skip
    curve = comparing.learning_curve({n: Predictions.of(p, y) for n, p in points.items()})
    assert [(c.labels, c.accuracy.value) for c in curve] == [(100, 0.5), (200, 0.75), (400, 0.85)]
    assert curve[0].gain.value is None
    assert [c.gain.value for c in curve[1:]] == pytest.approx([0.25, 0.1])
    assert curve[1].gain.low > 0  # type: ignore[operator]


@pytest.mark.parametrize(("groups", "least"), [(12, 0.90), (60, 0.92)])
def test_intervals_hold_the_truth(groups: int, least: float) -> None:
    """Pairs of a prompt share how hard it is; 400 samples, so 0.95 is within 0.022 with 95% confidence."""
    random = np.random.default_rng(5)
    truth_accuracy, truth_gain, held = 0.7, 0.05, np.zeros(2)
    runs = 400
    for run in range(runs):
        size = random.integers(1, 8, groups)
        code = np.repeat(np.arange(groups), size)
        hard = np.clip(random.normal(0, 0.15, groups), -0.24, 0.24)[code]
        luck, change = random.random((2, len(code)))
        first = luck < truth_accuracy + hard
        second = first.copy()
        worse, better = first & (change < 0.1), ~first & (change < 0.4)
        second[worse], second[better] = False, True
        y = np.ones(len(code))
        a, b = (Predictions.of(np.where(right, 0.8, 0.2), y, groups=code) for right in (first, second))
        held[0] += _holds(comparing.accuracy(a, run), truth_accuracy)
        held[1] += _holds(compare(a, b, run).accuracy, truth_gain)
    assert (held / runs >= least).all() and (held / runs <= 0.985).all(), held / runs


def _holds(estimate, truth: float) -> bool:  # type: ignore[no-untyped-def]
    return bool(estimate.low <= truth <= estimate.high)


def test_which_answer_is_called_a_changes_no_figure() -> None:
    """Not even where a is always the answer that people chose, as in TRL rows."""
    random = np.random.default_rng(5)
    p = random.beta(2, 2, 400)
    y = (random.random(400) < p).astype(float)
    as_asked = quality(Predictions.of(p, y))
    as_chosen = quality(Predictions.of(np.where(y == 1, p, 1 - p), np.ones(400)))
    assert as_asked.ece.value is not None and 0 < as_asked.ece.value < 0.1
    assert as_chosen == as_asked
