"""The simulation against independent truth: statsmodels recovers what was set, krippendorff sees ability."""

import krippendorff
import numpy as np
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from core.records import CHOICES
from core.simulation import (
    SimulatedAnnotator,
    SimulatedColumns,
    SimulatedItem,
    ability,
    default_panel,
    simulate,
    simulate_columns,
)

N = 20_000
UNKNOWN = np.full(N, np.nan)
A, B, TIE, BOTH_BAD = range(4)


def random_lengths(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.integers(50, 2000, n), rng.integers(50, 2000, n)


def columns_of(*panel: SimulatedAnnotator, gap: np.ndarray = UNKNOWN, per_item: int = 1) -> SimulatedColumns:
    return simulate_columns(panel, gap, *random_lengths(gap.size), seed=7, per_item=per_item)


@pytest.mark.parametrize(
    "annotator",
    [*default_panel(), SimulatedAnnotator("biased", 2.0, -1.0, 0.8, tie_rate=0.5)],
    ids=lambda annotator: annotator.name,
)
def test_logistic_regression_recovers_ability_and_biases(annotator: SimulatedAnnotator) -> None:
    columns = columns_of(annotator)
    length_a, length_b = random_lengths(N)
    preferred = columns.choice < TIE
    design = np.column_stack([columns.gap, np.where(columns.left_a, 1, -1), np.log(length_a / length_b)])[
        preferred
    ]
    low, high = sm.Logit(columns.choice[preferred] == A, design).fit(disp=0).conf_int(alpha=0.001).T
    truth = [annotator.ability, annotator.position_bias, annotator.length_bias]
    assert (low < truth).all() and (truth < high).all()


@pytest.mark.parametrize("ability", [0.0, 1.0, 3.0])
def test_share_of_right_preferences_is_the_set_accuracy(ability: float) -> None:
    annotator = SimulatedAnnotator("x", ability)
    choice = columns_of(annotator, gap=np.full(N, -1.0)).choice
    interval = binomtest(int((choice == B).sum()), int((choice < TIE).sum())).proportion_ci(0.999)
    assert interval.low < annotator.accuracy < interval.high


@pytest.mark.parametrize("tie_rate", [0.0, 0.1, 0.6])
def test_share_of_ties_between_equal_responses_is_the_set_rate(tie_rate: float) -> None:
    choice = columns_of(SimulatedAnnotator("x", 3.0, tie_rate=tie_rate), gap=np.zeros(N)).choice
    interval = binomtest(int((choice == TIE).sum()), N).proportion_ci(0.999)
    assert interval.low <= tie_rate < interval.high


def test_both_bad_is_seen_as_often_as_ability_allows_and_never_elsewhere() -> None:
    bad = np.arange(N) % 2 == 0
    annotator = SimulatedAnnotator("x", 2.0)
    choice = simulate_columns([annotator], np.zeros(N), 100, 100, bad, seed=1, per_item=1).choice
    assert not (choice[~bad] == BOTH_BAD).any()
    interval = binomtest(int((choice[bad] == BOTH_BAD).sum()), int(bad.sum())).proportion_ci(0.999)
    assert interval.low < 2 * annotator.accuracy - 1 < interval.high


def test_seconds_follow_the_text_length() -> None:
    columns = columns_of(SimulatedAnnotator("x", 3.0, seconds=20))
    thousands = sum(random_lengths(N)) / 1000
    fit = sm.OLS(np.log(columns.seconds), sm.add_constant(np.log(thousands))).fit()
    low, high = fit.conf_int(alpha=0.001).T
    assert (low < [np.log(20), 0.5]).all() and (high > [np.log(20), 0.5]).all()
    assert np.sqrt(fit.scale) == pytest.approx(0.4, rel=0.02)


def test_who_is_surer_is_more_often_right() -> None:
    columns = columns_of(SimulatedAnnotator("x", 4.0))
    preferred = columns.choice < TIE
    right = (columns.choice == A) == (columns.gap > 0)
    for scale, levels in ((columns.confidence, range(1, 6)), (columns.strength, range(1, 4))):
        shares = [right[preferred & (scale == level)].mean() for level in levels]
        assert shares == sorted(shares)
    assert (columns.strength[~preferred] == 0).all()


@given(st.integers(1, 8), st.data(), st.integers(0, 2**32))
def test_each_item_has_k_different_annotators_and_alternating_sides(
    size: int, data: st.DataObject, seed: int
) -> None:
    k = data.draw(st.integers(1, size))
    panel = [SimulatedAnnotator(str(i), 1.0) for i in range(size)]
    columns = simulate_columns(panel, np.zeros(30), 100, 200, seed=seed, per_item=k)
    assert all(len(set(row)) == k for row in columns.annotator.reshape(30, k).tolist())
    assert (np.abs(2 * columns.left_a.reshape(30, k).sum(axis=1) - k) <= 1).all()
    assert columns.item.tolist() == [i for i in range(30) for _ in range(k)]


def test_work_is_spread_evenly_over_the_panel() -> None:
    columns = columns_of(*default_panel(), per_item=3)
    assert np.bincount(columns.annotator) == pytest.approx(np.full(6, N / 2), rel=0.05)
    assert np.bincount(columns.annotator[columns.left_a]) == pytest.approx(np.full(6, N / 4), rel=0.05)


def test_agreement_rises_with_ability() -> None:
    def alpha(ability: float) -> float:
        panel = [SimulatedAnnotator(str(i), ability) for i in range(4)]
        columns = columns_of(*panel, gap=UNKNOWN[:2000], per_item=4)
        table = np.empty((4, 2000))
        table[columns.annotator, columns.item] = columns.choice
        return float(krippendorff.alpha(table, level_of_measurement="nominal"))

    alphas = [alpha(ability) for ability in (0.0, 1.0, 3.0, 9.0)]
    assert alphas == sorted(alphas)
    assert abs(alphas[0]) < 0.03 and alphas[-1] > 0.5


def test_the_seed_decides_everything_and_the_truth_does_not_depend_on_the_panel() -> None:
    items = [SimulatedItem(f"pair {i}", 100 + i, 300) for i in range(50)]
    first = simulate(default_panel(), items, seed=1, per_item=3)
    assert first == simulate(default_panel(), items, seed=1, per_item=3)
    assert first != simulate(default_panel(), items, seed=2, per_item=3)
    one, six = columns_of(default_panel()[0]), columns_of(*default_panel(), per_item=3)
    assert (one.gap == six.gap).all() and (np.abs(one.gap) <= 1).all()


def test_records_are_the_columns() -> None:
    panel, gaps = default_panel(), [0.5, None, -1.0, 0.0]
    items = [SimulatedItem(f"pair {i}", 200, 400, gap, both_bad=i == 3) for i, gap in enumerate(gaps)]
    records = simulate(panel, items, seed=3, per_item=6)
    gap = np.array([0.5, np.nan, -1.0, 0.0])
    columns = simulate_columns(panel, gap, 200, 400, [False, False, False, True], seed=3, per_item=6)
    assert [int(record.pair_id.removeprefix("pair ")) for record in records] == columns.item.tolist()
    assert [record.annotator for record in records] == [panel[i].name for i in columns.annotator]
    assert [CHOICES.index(record.choice) for record in records] == columns.choice.tolist()
    assert [record.left == "a" for record in records] == columns.left_a.tolist()
    assert [record.strength or 0 for record in records] == columns.strength.tolist()
    assert [record.seconds for record in records] == columns.seconds.tolist()


def test_the_default_panel_says_that_it_is_simulated() -> None:
    names = [annotator.name for annotator in default_panel()]
    assert len(set(names)) == 6 and all(name.startswith("Simulated ") for name in names)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_item": 7}, "per_item is 7, but the panel has 6 annotators"),
        ({"per_item": 0}, "choose 1 to 6"),
        ({"length_b": [5, 0, 5]}, "item 1 has an empty response"),
        ({"gap": np.array([0, 0, 1.5])}, "item 2 has a gap outside -1 to 1"),
    ],
)
def test_numbers_out_of_range_are_refused(change: dict[str, object], message: str) -> None:
    arguments = {"gap": np.zeros(3), "length_a": 5, "length_b": 5, "seed": 0, "per_item": 2} | change
    with pytest.raises(ValueError, match=message):
        simulate_columns(default_panel(), **arguments)


def test_annotators_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="tie_rate of 'x' is 1"):
        SimulatedAnnotator("x", 1.0, tie_rate=1)
    with pytest.raises(ValueError, match="seconds of 'x' is 0"):
        SimulatedAnnotator("x", 1.0, seconds=0)


def test_an_accuracy_is_that_of_its_ability() -> None:
    assert [SimulatedAnnotator("one", ability(p)).accuracy for p in (0.5, 0.9, 0.999)] == pytest.approx(
        [0.5, 0.9, 0.999]
    )


@pytest.mark.parametrize(("names", "says"), [(["Ann", "Ann"], "called 'Ann'"), (["Ann", ""], "has no name")])
def test_each_annotator_of_a_panel_has_a_name_of_its_own(names: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        simulate(
            [SimulatedAnnotator(name, 1.0) for name in names],
            [SimulatedItem("p", 10, 10)],
            seed=1,
            per_item=1,
        )
