"""A/B experiments against simulation, the closed forms of their papers, scipy's Dirichlet-multinomial, and pandas."""

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy
from hypothesis import given
from hypothesis import strategies as st

from core.estimate import Estimate
from core.experiment_figures import effect_figure
from core.experiments import (
    LEAST,
    METRICS,
    Analysis,
    Compared,
    Metric,
    Moments,
    always_valid,
    analyse,
    assigned,
    compare,
    moments,
    ratio_p_values,
    spread,
)

RUNS, LOOKS, EACH = 2000, 50, 40
PLANNED = LOOKS * EACH


def new_units(r: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An arm of RUNS experiments in which as many units, of skewed outcomes, come before each of LOOKS: n, sums, sums of squares."""
    n = np.arange(1, LOOKS + 1) * EACH // 2
    x = r.standard_exponential((RUNS, PLANNED // 2), dtype=np.float32).astype(np.float64)
    return n, x.cumsum(1)[:, n - 1], (x**2).cumsum(1)[:, n - 1]


def units_that_come_back(r: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The same of 200 units that are there from the start and have one more outcome before each of 20 looks; their means count."""
    x = r.standard_normal((RUNS, 200, 20), dtype=np.float32) + r.standard_normal((RUNS, 200, 1), dtype=np.float32)  # fmt: skip
    means = x.cumsum(2) / np.arange(1, 21)
    return np.full(20, 200), means.sum(1), (means**2).sum(1)


@pytest.mark.parametrize(("arm", "effect"), [(new_units, 0.0), (new_units, 0.5), (units_that_come_back, 0.0)])
def test_the_sequence_holds_however_often_one_looks_and_a_plain_interval_does_not(
    arm: Any, effect: float
) -> None:
    """How often an interval misses the truth at any look: 5% at most, plus three standard errors of the simulation. An ``effect`` is
    what is added to outcomes of mean 1 by multiplying them, so that the arms vary differently too."""
    r = np.random.default_rng(3)
    (n, total, squares), (_, more, others) = arm(r), arm(r)
    more, others = more * (1 + effect), others * (1 + effect) ** 2
    error = np.sqrt((squares / n - (total / n) ** 2 + others / n - (more / n) ** 2) / n)
    z = (np.abs((more - total) / n - effect) / error)[:, n >= LEAST]
    missed = (z > spread(2 * n[n >= LEAST], PLANNED)).any(1).mean()
    assert missed <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / RUNS)
    assert (z > 1.96).any(1).mean() > 2 * max(missed, 0.05)


def test_rare_outcomes_wait_until_the_figures_hold() -> None:
    """Outcomes of one unit in 50, a tenth of the units treated: from LEAST units on 8% of experiments would miss."""
    r, runs = np.random.default_rng(0), 400
    treated = 100 + 60 * np.arange(30)
    sizes = np.column_stack([9 * treated, treated])
    hits = np.stack([r.binomial(np.diff(n, prepend=0), 0.02, (runs, 30)).cumsum(1) for n in sizes.T], axis=2)
    day = np.datetime64("2026-03-02") + np.arange(30)
    found = [
        compare("win", Moments(day, np.stack([sizes, *[one] * 3]).astype(float)), 0.1, 18_400) for one in hits
    ]
    missed = np.mean([((one.over.low > 0) | (one.over.high < 0)).any() for one in found])
    assert missed <= 0.05
    assert np.mean([one.over.value[-1] == one.over.value[-1] for one in found]) > 0.1, (
        "many are told in the end"
    )
    assert "each arm needs" in (found[0].over[0].reason or "") and found[0].over[0].value is None


def test_the_width_is_that_of_the_paper_and_smallest_at_the_plan() -> None:
    """Theorem 2.2 of Waudby-Smith et al. with sigma = 1.7, rho from their formula at 5,000, at t = 1,234."""
    t, sigma, alpha = 1234, 1.7, 0.05
    rho = np.sqrt((-2 * np.log(alpha) + np.log(-2 * np.log(alpha) + 1)) / 5000)
    paper = sigma * np.sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * np.log(np.sqrt(t * rho**2 + 1) / alpha))
    assert sigma / np.sqrt(t) * spread(t, 5000) == pytest.approx(paper, rel=1e-12)
    plans = np.arange(1000, 20_001, 100)
    assert plans[spread(5000, plans).argmin()] == pytest.approx(5000, rel=0.05)


@given(st.integers(200, 10**6), st.integers(200, 10**6))
def test_the_p_value_is_the_level_whose_sequence_ends_at_zero(n: int, planned: int) -> None:
    assert always_valid(spread(n, planned), n, planned) == pytest.approx(0.05)
    assert always_valid(0.0, n, planned) == 1.0


def test_the_ratio_check_is_the_bayes_factor_of_a_dirichlet() -> None:
    """Against scipy's Dirichlet-multinomial, the orders of arrival left out of both."""
    counts, share, planned = np.array([[30, 20], [90, 60], [350, 310]]), 0.4, 1000
    weight = planned / (-2 * np.log(0.01) + np.log(1 - 2 * np.log(0.01)))
    split = np.array([0.6, 0.4])
    factors = [scipy.stats.dirichlet_multinomial.pmf(x, weight * split, x.sum()) / scipy.stats.multinomial.pmf(x, x.sum(), split)
               for x in counts]  # fmt: skip
    best = np.maximum.accumulate(np.maximum(factors, 1))
    assert ratio_p_values(counts, share, planned) == pytest.approx(1 / best)


def test_the_ratio_check_holds_at_every_look_and_finds_lost_units() -> None:
    r = np.random.default_rng(5)
    treated = r.binomial(EACH, 0.3, (RUNS, LOOKS)).cumsum(1)
    n = np.arange(1, LOOKS + 1) * EACH
    p = np.array([ratio_p_values(np.column_stack([n - x, x]), 0.3, PLANNED)[-1] for x in treated])
    assert (p < 0.01).mean() <= 0.01 + 3 * np.sqrt(0.01 * 0.99 / RUNS)
    lost = r.binomial(EACH, 0.25, (200, LOOKS)).cumsum(1)
    found = [ratio_p_values(np.column_stack([n - x, x]), 0.3, PLANNED)[-1] < 0.01 for x in lost]
    assert np.mean(found) > 0.9


@given(st.text(max_size=50), st.floats(0.01, 0.99))
def test_a_unit_keeps_its_arm_and_only_moves_to_the_treatment_as_the_share_grows(
    unit: str, share: float
) -> None:
    arm = assigned("seed", unit, share)
    assert arm == assigned("seed", unit, share)
    if arm == "treatment":
        assert assigned("seed", unit, share + (1 - share) / 2) == "treatment"


def test_the_split_is_the_share_and_other_seeds_split_anew() -> None:
    for share in (0.05, 0.5, 0.9):
        n = sum(assigned("a", f"user-{i}", share) == "treatment" for i in range(4000))
        assert scipy.stats.binomtest(n, 4000, share).pvalue > 1e-4
    both = [assigned("a", str(i), 0.5) == assigned("b", str(i), 0.5) for i in range(4000)]
    assert scipy.stats.binomtest(sum(both), 4000, 0.5).pvalue > 1e-4
    assert assigned("seed", "user-1", 0.5) == "treatment" and assigned("seed", "user-2", 0.5) == "control"


def made(effect: float, n: int = 2000, metric: Metric = "rating", lost: float = 0.0) -> Moments:
    """Moments of n units over ten days, some of the treatment's lost."""
    r = np.random.default_rng(8)
    rows = []
    for day in range(10):
        for variant, part in (("control", 0.5), ("treatment", 0.5 * (1 - lost))):
            x = r.normal(effect * (variant == "treatment"), 0.5, round(n * part / 10))
            powers = (float((x**power).sum()) for power in range(4))
            rows.append((metric, 3.0, np.datetime64("2026-03-02") + day, variant, *powers))
    names = ["metric", "centre", "day", "variant", "n", "total", "squares", "cubes"]
    return moments(pa.table(pd.DataFrame(rows, columns=names).astype({"day": "datetime64[s]"})))[metric]


def test_both_arms_and_the_difference_against_the_usual_standard_error() -> None:
    found = compare("rating", made(0.2), 0.5, 2000)
    n = found.ratio.control
    assert n == found.ratio.treatment == found.control.n == 1000 and found.effect.n == 2000
    assert found.control.value == pytest.approx(3.0, abs=0.06) and found.treatment.value == pytest.approx(3.2, abs=0.06)  # fmt: skip
    assert found.effect.value == pytest.approx(found.treatment.value - found.control.value)
    error = 0.5 * np.sqrt(2 / n)
    assert found.fixed[-1] == pytest.approx(1.96 * error, rel=0.05)
    assert (found.effect.high - found.effect.low) / 2 == pytest.approx(error * spread(2000, 2000), rel=0.05)  # type: ignore[operator]
    assert found.p_value is not None and found.p_value < 1e-6
    assert np.isnan(found.over.low[0]) == (found.over.n[0] < 2 * LEAST), "from LEAST units an arm on"
    assert compare("rating", made(0.2, n=1800), 0.5, 2000).over[0].reason is not None


def about(
    effect: float, *, metric: Metric = "rating", worth: float = 0.0, target: int = 2000, **rest: float
) -> Analysis:
    found = made(effect, metric=metric, **rest)  # type: ignore[arg-type]
    return analyse(np.array([[1000, 1000]]), {metric: found}, metric, 0.5, 2000, target, worth)


@pytest.mark.parametrize(
    ("given", "choice", "says"),
    [
        ({"effect": 0.2}, "deploy treatment", "it is better"),
        ({"effect": -0.2}, "keep control", "it is worse"),
        ({"effect": 0.2, "metric": "latency"}, "keep control", "\N{NO-BREAK SPACE}s: it is worse"),
        ({"effect": -0.2, "metric": "cost"}, "deploy treatment", "\N{NO-BREAK SPACE}US$: it is better"),
        ({"effect": 0.01, "worth": 0.2}, "no difference worth having", "less than 0.2 either way"),
        ({"effect": -0.09, "worth": 0.1, "n": 400}, "keep control", "not better by 0.1"),
        ({"effect": 0.02, "target": 9000}, "go on", "not decided yet, at 2,000 of 9,000 units"),
        ({"effect": 0.02}, "extend or end", "all 2,000 planned units are in"),
        ({"effect": 0.2, "n": 150}, "go on", "each arm needs 100 units; there are 80 and 80"),
        ({"effect": 0.2, "lost": 0.4}, "check the ratio first", "37.5% of 1,600 units"),
    ],
    ids=str,
)
def test_what_is_recommended(given: dict[str, float], choice: str, says: str) -> None:
    found = about(**given).recommendation  # type: ignore[arg-type]
    assert found.choice == choice and says in found.why


def test_a_wrong_split_comes_before_everything_and_what_else_got_worse_is_told() -> None:
    found = {"rating": made(0.2), "latency": made(0.3, metric="latency")}
    analysis = analyse(np.array([[1200, 800]]), found, "rating", 0.5, 2000, 2000, 0.0)
    assert analysis.recommendation.choice == "check the ratio first" and analysis.ratio.mismatch
    analysis = analyse(np.array([[1000, 1000]]), found, "rating", 0.5, 2000, 2000, 0.0)
    assert analysis.recommendation.choice == "deploy treatment" and "Mind: latency got worse" in analysis.recommendation.why  # fmt: skip
    empty = analyse(np.zeros((0, 2), dtype=int), {}, "win", 0.5, 2000, 2000, 0.0)
    assert empty.recommendation.why == "No outcome of win rate has come in yet." and empty.ratio.p_value == 1


def test_where_all_outcomes_are_the_same_there_is_no_interval() -> None:
    sums = np.zeros((4, 1, 2))
    sums[0] = 500
    found = compare("win", Moments(np.array(["2026-01-01"], "datetime64[D]"), sums, 1.0), 0.5, 1000)
    assert found.effect == Estimate(0.0, None, None, 1000, reason="Every unit has the same outcome, so there is no interval.")  # fmt: skip
    assert found.p_value is None and found.control.value == 1.0


def test_the_figure_holds_the_days_that_are_known() -> None:
    found: Compared = compare("latency", made(-0.2, n=1500, metric="latency"), 0.5, 1500)
    figure = effect_figure(found, 0.1)
    known = ~np.isnan(found.over.low)
    assert 0 < known.sum() < len(known)
    assert list(figure.data[-1].y) == list(found.over.value[known])
    assert [shape.y0 for shape in figure.layout.shapes] == [0, -0.1], "less latency is better"
    assert METRICS["latency"].label in figure.layout.yaxis.title.text
