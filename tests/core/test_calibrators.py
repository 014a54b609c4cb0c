"""Calibrators against the reference values and other libraries; monotone, symmetric, and refusing what cannot be fitted."""

import json
import math
from pathlib import Path
from typing import Any

import betacal
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from core import calibrators
from core.calibration import log_losses
from core.calibrators import METHODS, Identity, Method, Temperature, choose, fit, from_json

Arrays = tuple[np.ndarray, np.ndarray]
GRID = np.linspace(0, 1, 501)


def sample(n: int = 2000, temperature: float = 1 / 0.6, seed: int = 20240229) -> Arrays:
    """Predictions with outcomes drawn after dividing their logits by ``temperature``."""
    r = np.random.default_rng(seed)
    p = r.beta(5, 2, n)
    return p, (r.random(n) < 1 / (1 + np.exp(-np.log(p / (1 - p)) / temperature))).astype(float)


@pytest.fixture(scope="session")
def reference(shared_data: Path) -> dict[str, Any]:
    path = shared_data.parent / "reference" / "calibration.json"
    if not path.is_file():
        pytest.skip(f"reference values not found at {path}")
    return json.loads(path.read_text())["seeded"]


def test_temperature_and_platt_are_the_references(reference: dict[str, Any]) -> None:
    p, y = sample()
    cooled = fit("temperature", p, y)
    assert isinstance(cooled, Temperature)
    assert cooled.temperature == pytest.approx(reference["temperature"], abs=1e-3)
    after = log_losses(cooled(p), y).mean()
    assert after == pytest.approx(reference["log_loss_after_temperature"], abs=1e-6)
    platt = log_losses(fit("platt", p, y)(p), y).mean()
    assert platt == pytest.approx(reference["log_loss_after_platt"], abs=1e-6)


def test_platt_is_scikit_learns_logistic_regression_with_weights_and_soft_labels() -> None:
    p, y = sample()
    r = np.random.default_rng(0)
    soft, weight = np.clip(y + r.choice([-0.5, 0, 0.5], len(y)), 0, 1), r.exponential(size=len(y))
    model = LogisticRegression(C=np.inf, tol=1e-10)
    both = np.concatenate([weight * soft, weight * (1 - soft)])
    labels = np.repeat([1, 0], len(p))
    model.fit(np.tile(logit(p), 2)[:, None], labels, sample_weight=both)
    ours = fit("platt", p, soft, weight)
    assert ours.to_json()["slope"] == pytest.approx(model.coef_[0, 0], abs=1e-4)
    assert ours.to_json()["intercept"] == pytest.approx(model.intercept_[0], abs=1e-4)


@pytest.mark.parametrize("power", [1.0, 1.6])
def test_beta_is_betacals(power: float) -> None:
    p, y = sample()
    p = p**power
    theirs = betacal.BetaCalibration().fit(p, y)
    ours = fit("beta", p, y)
    assert ours(p) == pytest.approx(theirs.predict(p), abs=2e-3)
    assert log_losses(ours(p), y).mean() <= log_losses(theirs.predict(p), y).mean() + 1e-9


def test_beta_with_a_falling_side_is_betacals_with_that_side_left_out() -> None:
    r = np.random.default_rng(2)
    p = r.uniform(0.02, 0.98, 3000)
    y = (r.random(3000) < 1 / (1 + np.exp(-(-0.5 * np.log(p) - 1.5 * np.log1p(-p) - 1)))).astype(float)
    ours = fit("beta", p, y)
    assert ours.to_json()["a"] == 0
    assert ours(p) == pytest.approx(betacal.BetaCalibration().fit(p, y).predict(p), abs=2e-3)


def test_isotonic_is_scikit_learns_kept_off_0_and_1() -> None:
    p, y = sample(500)
    p = np.round(p, 2)
    weight = np.random.default_rng(1).exponential(size=500)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y, weight)
    edge = 1 / 502
    assert fit("isotonic", p, y, weight)(p) == pytest.approx(np.clip(theirs.predict(p), edge, 1 - edge))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_calibrators_survive_json(method: Method, symmetric: bool) -> None:
    calibrator = fit(method, *sample(), symmetric=symmetric)
    again = from_json(json.loads(json.dumps(calibrator.to_json())))
    assert again == calibrator and again.name == method
    assert (again(GRID) == calibrator(GRID)).all()


@settings(deadline=None, max_examples=80)
@given(
    method=st.sampled_from(METHODS),
    seed=st.integers(0, 10_000),
    n=st.integers(calibrators.LEAST, 200),
    slope=st.floats(-2, 4),
    soft=st.booleans(),
    symmetric=st.booleans(),
)
def test_calibrators_are_monotone_and_symmetric_where_asked(
    method: Method, seed: int, n: int, slope: float, soft: bool, symmetric: bool
) -> None:
    r = np.random.default_rng(seed)
    p = r.beta(2, 2, n)
    y = r.binomial(5, 1 / (1 + np.exp(-slope * logit(p)))) / 5
    y = y if soft else np.round(y)
    try:
        calibrator = fit(method, p, y, r.exponential(size=n), symmetric)
    except ValueError as refusal:
        assert "separate" in str(refusal) or "Every outcome" in str(refusal)
        return
    given_ = np.sort(np.concatenate([GRID, p]))
    said = calibrator(given_)
    assert ((said >= 0) & (said <= 1)).all()
    assert (np.diff(said) >= -1e-12).all()
    if symmetric:
        assert said + calibrator(1 - given_) == pytest.approx(1, abs=1e-12)


def test_symmetric_fits_do_not_depend_on_which_answer_is_first() -> None:
    p, y = sample()
    turned = np.random.default_rng(3).random(len(p)) < 0.5
    other = np.where(turned, 1 - p, p), np.where(turned, 1 - y, y)
    for method in METHODS:
        one, two = fit(method, p, y, symmetric=True), fit(method, *other, symmetric=True)
        assert one(GRID) == pytest.approx(two(GRID), abs=1e-6)


def test_symmetric_platt_and_beta_are_temperature_scaling() -> None:
    p, y = sample()
    cooled = fit("temperature", p, y)(GRID)
    for method in ("platt", "beta"):
        assert fit(method, p, y, symmetric=True)(GRID) == pytest.approx(cooled, abs=1e-5)


def test_a_tie_pulls_towards_a_half() -> None:
    p, y = sample()
    tied = np.where(np.arange(len(y)) % 2, 0.5, y)
    sharp, soft = (fit("temperature", p, outcomes).to_json()["temperature"] for outcomes in (y, tied))
    assert soft > 1.5 * sharp


def test_choose_keeps_what_helps_and_leaves_what_does_not() -> None:
    p, y = sample(3000, temperature=2)
    hot = choose(p, y, groups=np.arange(3000) // 3)
    assert hot.name == "temperature" and hot.calibrator.to_json()["name"] == "symmetric"
    assert "Temperature calibration gains 0.0" in hot.reason
    gain = hot.gain["temperature"]
    assert gain.low > 0
    assert gain.value == pytest.approx(hot.log_loss["identity"].value - hot.log_loss["temperature"].value)
    assert log_losses(hot.out_of_fold, y).mean() == pytest.approx(hot.log_loss["temperature"].value)
    p, y = sample(3000, temperature=1)
    fine = choose(p, y, groups=np.arange(3000) // 3)
    assert isinstance(fine.calibrator, Identity)
    assert "may be nothing" in fine.reason and set(fine.gain) == set(METHODS)
    assert (fine.out_of_fold == p).all()


def test_choose_takes_isotonic_for_a_step() -> None:
    r = np.random.default_rng(5)
    p = r.uniform(size=6000)
    y = (r.random(6000) < np.select([p < 0.4, p > 0.6], [0.3, 0.7], 0.5)).astype(float)
    assert choose(p, y, None).name == "isotonic"


def test_choose_seldom_keeps_a_calibrator_for_calibrated_predictions() -> None:
    kept = [
        choose(*sample(300, temperature=1, seed=seed), groups=None).name != "identity" for seed in range(15)
    ]
    assert sum(kept) <= 2


def test_out_of_fold_means_out_of_the_group() -> None:
    """Every group has one outcome of its own; only who has seen the group could predict it."""
    r = np.random.default_rng(6)
    group = np.repeat(np.arange(60), 20)
    p = np.repeat(r.uniform(size=60), 20)
    y = np.repeat(r.integers(0, 2, 60), 20).astype(float)
    assert choose(p, y, group).log_loss["isotonic"].value > math.log(2) - 0.02


def test_choose_says_why_nothing_can_be_fitted() -> None:
    p, y = sample(200)
    assert "12 more are needed" in choose(p[:10], y[:10], None).reason
    assert "needs 5 prompts or more; there are 1" in choose(p, y, ["a"] * 200).reason
    assert "Every outcome is 1" in choose(p, np.ones(200), None, symmetric=False).reason
    assert "Every outcome is 0.5" in choose(p, np.full(200, 0.5), None).reason
    assert "there are 0" in choose([], [], None).reason
    for reason in (choose(p[:10], y[:10], None), choose([], [], None)):
        assert isinstance(reason.calibrator, Identity)


@pytest.mark.parametrize(
    ("method", "p", "y", "symmetric", "message"),
    [
        ("platt", [0.5] * 19, [1] * 19, True, "19 predictions are too few to fit a calibrator; 1 more"),
        ("platt", [0.4, 0.6] * 20, [1, 1] * 20, False, "Every outcome is 1"),
        ("isotonic", [0.4, 0.6] * 20, [0.5, 0.5] * 20, True, "Every outcome is 0.5"),
        ("temperature", [0.4, 0.6] * 20, [0, 1] * 20, True, "separate the outcomes perfectly"),
        ("beta", [0.2, 0.3] * 20, [0, 1] * 20, False, "separate the outcomes perfectly"),
        ("platt", [0.5, math.nan] * 20, [0, 1] * 20, True, "predicted probability at position 1 is nan"),
        ("platt", [0.5, 0.6] * 20, [0, 2] * 20, True, "outcome at position 1 is 2"),
    ],
)
def test_fit_refuses(method: Method, p: Any, y: Any, symmetric: bool, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        fit(method, p, y, symmetric=symmetric)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("value", [math.nan, -0.1, 1.0001, math.inf])
def test_calibrators_refuse_what_is_no_probability(method: Method, value: float) -> None:
    for calibrator in (fit(method, *sample()), fit(method, *sample(), symmetric=True), Identity()):
        with pytest.raises(ValueError, match="probability at position 1"):
            calibrator([0.5, value])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"name": "magic"}, "no calibrator named 'magic'; known are identity, temperature"),
        ({}, "no calibrator named None"),
        ([], "described by an object"),
        ({"name": "temperature", "temperature": 0}, "'temperature' needs a number 'temperature'"),
        ({"name": "temperature", "temperature": True}, "needs a number"),
        ({"name": "platt", "slope": -1, "intercept": 0}, "'slope' of 0 or more, not -1"),
        ({"name": "platt", "slope": 1}, "needs a number 'intercept', not None"),
        ({"name": "beta", "a": 1, "b": math.nan, "c": 0}, "'b'"),
        ({"name": "isotonic", "x": [0.1, 0.9], "y": [0.9, 0.1]}, "list 'y' of probabilities in ascending"),
        ({"name": "isotonic", "x": [0.1, 0.9], "y": [0.1]}, "list 'y'"),
        ({"name": "isotonic", "x": [], "y": []}, "list 'x'"),
        ({"name": "symmetric", "of": {"name": "magic"}}, "'magic'"),
        ({"name": "symmetric"}, "no calibrator named None"),
    ],
)
def test_a_damaged_description_is_refused(data: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_json(data)
