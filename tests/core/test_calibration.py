"""Calibration measures against the reference values, other libraries, brute force and simulation."""

import csv
import gzip
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import relplot
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import brier_score_loss, log_loss
from statsmodels.stats.proportion import proportion_confint

from core import calibration
from core.bootstrap import POOLS, Bootstrap
from core.calibration import Predictions, report

Arrays = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="session")
def reference(shared_data: Path) -> dict[str, Any]:
    path = shared_data.parent / "reference" / "calibration.json"
    if not path.is_file():
        pytest.skip(f"reference values not found at {path}")
    return json.loads(path.read_text())


@pytest.fixture(scope="session")
def published(shared_data: Path) -> dict[str, Any]:
    return json.loads((shared_data / "calibration" / "ece_vectors.json").read_text())


@pytest.fixture(scope="session")
def densenet(shared_data: Path) -> Arrays:
    """Top-label confidence and correctness of a real network on 10,000 images: overconfident."""
    with gzip.open(shared_data / "calibration" / "top_label_densenet_cifar100.csv.gz", "rt") as file:
        rows = list(csv.DictReader(file))
    return np.array([float(r["confidence"]) for r in rows]), np.array([float(r["correct"]) for r in rows])


def seeded() -> Arrays:
    """The sample of the reference file: predictions too extreme by a factor of 0.6 in the logit."""
    r = np.random.default_rng(20240229)
    p = r.beta(5, 2, 2000)
    q = 1 / (1 + np.exp(-0.6 * np.log(p / (1 - p))))
    y = (r.random(2000) < q).astype(float)
    assert y.sum() == 1318
    return p, y


def values(p: Any, y: Any, bins: int = 15, **more: Any) -> dict[str, float | None]:
    figures = report(Predictions.of(p, y, **more), bins, draws=20).figures
    return {name: estimate.value for name, estimate in figures.items()}


@pytest.mark.parametrize("bins", [10, 15, 20])
def test_ece_of_the_seeded_sample_is_the_references(reference: dict[str, Any], bins: int) -> None:
    found = values(*seeded(), bins)
    assert found["ece"] == pytest.approx(reference["seeded"]["ece_equal_width"][str(bins)], abs=1e-6)
    assert found["ece_equal_mass"] == pytest.approx(
        reference["seeded"]["ece_equal_mass"][str(bins)], abs=1e-6
    )


def test_brier_and_log_loss_are_the_references_and_scikit_learns(reference: dict[str, Any]) -> None:
    p, y = seeded()
    found = values(p, y)
    assert found["brier"] == pytest.approx(reference["seeded"]["brier"], abs=1e-9)
    assert found["log_loss"] == pytest.approx(reference["seeded"]["log_loss"], abs=1e-9)
    w = np.random.default_rng(1).exponential(size=len(p))
    weighted = values(p, y, weight=w)
    assert weighted["brier"] == pytest.approx(brier_score_loss(y, p, sample_weight=w))
    assert weighted["log_loss"] == pytest.approx(log_loss(y, p, sample_weight=w))


@pytest.mark.parametrize("name", ["tiny", "edge"])
def test_small_samples_on_the_bins_edges(reference: dict[str, Any], name: str) -> None:
    case = reference[name]
    found = values(case["p"], case["y"], case["bins"])
    assert found["ece"] == pytest.approx(case["ece"], abs=1e-6)
    if "mce" in case:
        assert found["mce"] == pytest.approx(case["mce"], abs=1e-5)


def test_published_examples(published: dict[str, Any]) -> None:
    for case in published["equal_mass_ece"]:
        assert values(case["p"], case["y"], case["bins"])["ece_equal_mass"] == pytest.approx(case["ece"])
    for case in published["binary_p1_ece"]:
        assert values(case["p"], case["y"], case["bins"])["ece"] == pytest.approx(case["ece"])
    for case in published["discrete_bins_lp_ce"]:
        assert values(case["p"], case["y"], 100)["ece"] == pytest.approx(case["ce"])
    for case in published["top_label_ece"]:
        rows = np.array(case["probs"])
        right = rows.argmax(1) == case["labels"]
        assert values(rows.max(1), right.astype(float), case["bins"])["ece"] == pytest.approx(case["ece"])


@pytest.mark.parametrize("n", [300, 2000, 20000])
@pytest.mark.parametrize("power", [1.0, 1.3])
def test_smooth_ece_is_relplots(n: int, power: float) -> None:
    r = np.random.default_rng(n)
    p = r.beta(5, 2, n)
    y = (r.random(n) < p**power).astype(float)
    assert values(p, y)["smooth_ece"] == pytest.approx(relplot.smECE(p, y), abs=1.5e-3)


def smoothed_error(p: np.ndarray, y: np.ndarray, sigma: float) -> float:
    """The integral that defines smooth ECE at one width, by quadrature over a reflected Gaussian kernel.

    relplot counts predictions on its last grid point half; where most are next to 1, only the definition will do.
    """
    t = (np.arange(400) + 0.5) / 400
    images = [stats.norm.pdf(t[:, None], image, sigma) @ (y - p) for image in (p, -p, 2 - p)]
    return float(np.abs(sum(images)).mean() / len(p))


def test_real_outcomes_of_an_overconfident_network(densenet: Arrays) -> None:
    p, y = densenet
    found = report(Predictions.of(p, y))
    figures = {name: e.value for name, e in found.figures.items()}
    cell = np.minimum(np.floor(p * 15), 14)
    gaps = [(cell == b).mean() * abs(p[cell == b].mean() - y[cell == b].mean()) for b in np.unique(cell)]
    assert figures["ece"] == pytest.approx(sum(gaps))
    assert figures["smooth_ece"] == pytest.approx(smoothed_error(p, y, figures["smooth_ece"]), abs=3e-4)
    inside = (p > 0.005) & (p < 0.995)
    p, y = p[inside], y[inside]
    assert values(p, y)["smooth_ece"] == pytest.approx(relplot.smECE(p, y), abs=1.5e-3)
    assert found.reliability is not None
    assert found.figures["ece"].low > found.reliability.null.p95
    assert max(found.reliability.null.p_value, found.spiegelhalter_p, found.kolmogorov_smirnov_p) < 0.002


def test_debiased_ece_is_the_resampled_one() -> None:
    """Kumar et al.'s code draws the noisier shares; ours takes their expectation."""
    p, y = seeded()
    order = np.argsort(p)
    bins = np.array_split(order, 10)
    predicted, observed = (np.array([v[b].mean() for b in bins]) for v in (p, y))
    noise = np.sqrt(observed * (1 - observed) / 200)
    drawn = np.random.default_rng(0).normal(observed, noise, (200_000, 10))
    plain = np.abs(predicted - observed).mean()
    assert values(p, y, 10)["ece_debiased"] == pytest.approx(
        2 * plain - np.abs(drawn - predicted).mean(), abs=1e-4
    )


def test_spiegelhalter_and_kolmogorov_smirnov_by_hand() -> None:
    p, y = seeded()
    found = report(Predictions.of(p, y), draws=20)
    z = ((y - p) * (1 - 2 * p)).sum() / math.sqrt(((1 - 2 * p) ** 2 * p * (1 - p)).sum())
    assert found.figures["spiegelhalter_z"].value == pytest.approx(z)
    assert found.spiegelhalter_p == pytest.approx(2 * stats.norm.sf(abs(z)))
    walk = np.abs(np.cumsum((y - p)[np.argsort(p)])).max() / len(p)
    assert found.figures["kolmogorov_smirnov"].value == pytest.approx(walk)


def test_the_p_values_are_uniform_for_a_calibrated_predictor() -> None:
    r = np.random.default_rng(3)
    p_values = []
    for seed in range(80):
        p = r.beta(5, 2, 400)
        found = report(Predictions.of(p, r.random(400) < p), draws=99, seed=seed)
        assert found.reliability is not None
        p_values.append((found.spiegelhalter_p, found.kolmogorov_smirnov_p, found.reliability.null.p_value))
    for column in np.array(p_values, dtype=float).T:
        assert stats.kstest(column, "uniform").pvalue > 0.001
        assert (column < 0.05).mean() < 0.11


def test_null_ece_is_the_references(reference: dict[str, Any]) -> None:
    r = np.random.default_rng(4)
    for n, expected in reference["null_ece15_of_a_perfect_predictor_beta_5_2"].items():
        nulls = [
            calibration.reliability(Predictions.of(r.beta(5, 2, int(n)), np.zeros(int(n))), draws=300).null
            for _ in range(12)
        ]
        tolerance = 0.05 * expected["mean"] + 5e-4
        assert np.mean([null.mean for null in nulls]) == pytest.approx(expected["mean"], abs=tolerance)
        assert np.mean([null.p95 for null in nulls]) == pytest.approx(expected["p95"], abs=1.5 * tolerance)


@settings(deadline=None, max_examples=60)
@given(data=st.data(), n=st.integers(1, 60), bins=st.integers(1, 20))
def test_brier_adds_up_and_measures_stay_in_range(data: st.DataObject, n: int, bins: int) -> None:
    unit = st.floats(0, 1)
    p, y = (np.array(data.draw(st.lists(unit, min_size=n, max_size=n))) for _ in range(2))
    w = np.array(data.draw(st.lists(st.floats(0.1, 9), min_size=n, max_size=n)))
    found = report(Predictions.of(p, y, w), bins, draws=20)
    value = {name: e.value for name, e in found.figures.items()}
    assert value["brier"] == pytest.approx(
        value["reliability"] - value["resolution"] + value["uncertainty"], abs=1e-9
    )
    for name, estimate in found.figures.items():
        assert estimate.n == n
        if estimate.value is None:
            assert estimate.reason
        elif estimate.low is not None:
            assert estimate.low <= estimate.value <= estimate.high
        if name in calibration.BINNED + calibration.UNBINNED:
            assert 0 <= estimate.value <= 1
    assert value["ece"] <= value["mce"] + 1e-12
    assert value["kolmogorov_smirnov"] <= np.average(np.abs(p - y), weights=w) + 1e-12


@given(st.permutations(range(12)))
@settings(deadline=None, max_examples=30)
def test_the_order_of_predictions_does_not_matter(order: list[int]) -> None:
    p = np.array([0.1, 0.4, 0.4, 0.4, 0.4, 0.55, 0.55, 0.7, 0.7, 0.7, 0.9, 1.0])
    y = np.array([0, 1, 0, 0, 1, 1, 0, 1, 1, 0, 1, 1])
    assert values(p[order], y[order], 5) == pytest.approx(values(p, y, 5))
    curves = [calibration.risk_coverage(Predictions.of(p[o], y[o])) for o in (order, range(12))]
    assert [e.value for e in curves[0].risk] == pytest.approx([e.value for e in curves[1].risk])


def test_a_weight_counts_a_prediction_that_often() -> None:
    p, y = (v[:200] for v in seeded())
    times = np.random.default_rng(0).integers(1, 4, 200)
    weighted, repeated = values(p, y, weight=times), values(np.repeat(p, times), np.repeat(y, times))
    for name in ("ece", "mce", "brier", "log_loss", "reliability", "resolution", "kolmogorov_smirnov"):
        assert weighted[name] == pytest.approx(repeated[name])


def test_intervals_cover_the_truth() -> None:
    """The interval about each figure against its value in the population, 60 samples of 400."""
    r = np.random.default_rng(6)

    def outcome(p: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-0.6 * np.log(p / (1 - p))))

    crowd = r.beta(5, 2, 400_000)
    q = outcome(crowd)
    truth = values(crowd, q)
    truth["brier"] = float(np.mean(q * (1 - crowd) ** 2 + (1 - q) * crowd**2))
    truth["uncertainty"] = float(q.mean() * (1 - q.mean()))
    truth["resolution"] = truth["reliability"] + truth["uncertainty"] - truth["brier"]
    del truth["spiegelhalter_z"]
    held = dict.fromkeys(truth, 0)
    for seed in range(60):
        p = r.beta(5, 2, 400)
        figures = report(Predictions.of(p, r.random(400) < outcome(p)), draws=150, seed=seed).figures
        for name in held:
            held[name] += figures[name].low - 2e-4 <= truth[name] <= figures[name].high + 2e-4
    assert min(held.values()) >= 0.86 * 60, held


def test_groups_widen_the_interval_as_the_cluster_variance_says() -> None:
    r = np.random.default_rng(7)
    group = np.repeat(np.arange(300), 8)
    p = np.repeat(r.beta(5, 2, 300), 8)
    y = np.repeat(r.random(300) < p[::8], 8).astype(float)
    alone, together = (report(Predictions.of(p, y, groups=g)).figures["brier"] for g in (None, group))
    assert together.high - together.low == pytest.approx(math.sqrt(8) * (alone.high - alone.low), rel=0.15)


def test_pooled_groups_have_the_spread_of_the_groups() -> None:
    r = np.random.default_rng(8)
    values = r.exponential(size=40_000)
    group = np.arange(40_000) // 2
    estimate = Bootstrap(group, 20_000).mean(values, np.ones(40_000))
    error = values.reshape(-1, 2).mean(1).std() / math.sqrt(20_000)
    assert POOLS < 20_000
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * error, rel=0.1)


def test_reliability_bins_hold_their_rows_wilsons_interval_and_a_band() -> None:
    p, y = seeded()
    diagram = calibration.reliability(Predictions.of(p, y), bins=10)
    assert sorted(np.concatenate(diagram.rows)) == list(range(2000))
    for b, rows in enumerate(diagram.rows):
        assert (p[rows] >= diagram.low[b]).all() and (p[rows] < diagram.high[b]).all()
        estimate = diagram.observed[b]
        assert (estimate.n, estimate.value) == (len(rows), pytest.approx(y[rows].mean()))
        wilson = proportion_confint(y[rows].sum(), len(rows), method="wilson")
        assert (estimate.low, estimate.high) == pytest.approx(wilson, abs=1e-9)
        assert diagram.predicted[b] == pytest.approx(p[rows].mean())
    big = int(np.argmax([len(rows) for rows in diagram.rows]))
    spread = math.sqrt((p * (1 - p))[diagram.rows[big]].sum()) / len(diagram.rows[big])
    width = diagram.band_high[big] - diagram.band_low[big]
    assert width == pytest.approx(2 * 1.96 * spread, rel=0.1)


def test_bands_are_the_same_drawn_one_by_one_or_as_normal(monkeypatch: pytest.MonkeyPatch) -> None:
    predictions = Predictions.of(*seeded())
    drawn = calibration.reliability(predictions, "equal_mass", 5, draws=4000)
    monkeypatch.setattr(calibration, "EXACT", 0)
    normal = calibration.reliability(predictions, "equal_mass", 5, draws=4000)
    assert drawn.band_low == pytest.approx(normal.band_low, abs=0.006)
    assert drawn.null.p95 == pytest.approx(normal.null.p95, rel=0.05)


def test_risk_coverage_is_the_error_rate_of_the_surest() -> None:
    p, y = seeded()
    curve = calibration.risk_coverage(Predictions.of(p, y), points=20)
    assert curve.coverage == pytest.approx(np.arange(1, 21) / 20)
    confidence, wrong = np.maximum(p, 1 - p), (p > 0.5) != (y == 1)
    for coverage, sure, risk in zip(curve.coverage, curve.confidence, curve.risk, strict=True):
        assert (confidence >= sure).mean() == pytest.approx(coverage)
        assert risk.value == pytest.approx(wrong[confidence >= sure].mean())
        assert 0 <= risk.low <= risk.value <= risk.high <= 1
    perfect = calibration.risk_coverage(Predictions.of([0.9] * 10, [1] * 10))
    assert (perfect.risk[0].value, perfect.risk[0].high) == (0, pytest.approx(0.2775, abs=1e-3))
    tied = calibration.risk_coverage(Predictions.of([0.5, 0.5], [1, 1]))
    assert [e.value for e in tied.risk] == [0.5]


def test_by_category_is_a_report_of_each() -> None:
    p, y = seeded()
    keys = ["math" if i % 3 else "code" for i in range(2000)]
    reports = calibration.by(Predictions.of(p, y), keys, draws=20)
    assert list(reports) == ["code", "math"]
    assert reports["code"].figures["ece"].value == pytest.approx(values(p[::3], y[::3])["ece"])
    with pytest.raises(ValueError, match="2000 predictions have 1 keys"):
        calibration.by(Predictions.of(p, y), ["code"])


@pytest.mark.parametrize(
    ("p", "y", "more", "message"),
    [
        ([0.5, math.nan], [0, 1], {}, "predicted probability at position 1 is nan"),
        ([0.5, 1.2], [0, 1], {}, "predicted probability at position 1 is 1.2; it must be between 0 and 1"),
        ([0.5, 0.5], [0, -1], {}, "outcome at position 1 is -1.0"),
        ([0.5], [0, 1], {}, "1 predictions have outcomes of shape"),
        ([[0.5]], [1], {}, "must be one number"),
        ([0.5, 0.5], [0, 1], {"weight": [1, 0]}, "weight at position 1 is 0.0"),
        ([0.5, 0.5], [0, 1], {"weight": [1, math.inf]}, "weight at position 1 is inf"),
        ([0.5, 0.5], [0, 1], {"groups": ["a"]}, "2 predictions have groups of shape"),
    ],
)
def test_bad_input_says_what_is_wrong(p: Any, y: Any, more: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Predictions.of(p, y, **more)


def test_too_little_to_measure_gives_reasons() -> None:
    nothing = report(Predictions.of([], []))
    assert all(e.value is None and e.reason == calibration.NOTHING for e in nothing.figures.values())
    assert nothing.reliability is None
    for draw in (calibration.reliability, calibration.risk_coverage):
        with pytest.raises(ValueError, match="no predictions"):
            draw(Predictions.of([], []))
    one = report(Predictions.of([0.7, 0.6], [1, 0], groups=["a", "a"]))
    assert one.figures["brier"].value is not None and one.figures["brier"].low is None
    assert "two groups" in one.figures["brier"].reason
    certain = report(Predictions.of([0.0, 1.0, 0.5], [0, 1, 1]))
    assert "0, 0.5 or 1" in certain.figures["spiegelhalter_z"].reason
    with pytest.raises(ValueError, match="one bin or more"):
        report(Predictions.of([0.5], [1]), bins=0)
