"""Every calibration measure of 100,000 predictions with 1,000 bootstraps, beside what one would otherwise use.

    python -m benchmarks.calibration_speed [--predictions 100000] [--bootstraps 1000]

Beside it, in the same run: a loop over scikit-learn (calibration_curve for the ECE, brier_score_loss, log_loss) on resampled
rows, and relplot's smooth ECE on resampled rows. Each loop is timed on a few replicates and scaled up to all of them.
"""

import argparse
import os
import time
from collections.abc import Callable

import numpy as np
import relplot
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss

from core.calibration import NAMES, Predictions, Report, report, risk_coverage
from core.calibrators import choose
from core.ratings import FloatArray

LOOPED = 5
"""Replicates of a loop that are timed."""


def best_of(times: int, work: Callable[[], object]) -> float:
    """Seconds of the quickest of several runs."""
    seconds = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return min(seconds)


def by_scikit_learn(p: FloatArray, y: FloatArray) -> tuple[float, float, float]:
    observed, predicted = calibration_curve(y, p, n_bins=15)
    counts = np.histogram(p, np.linspace(0, 1, 16))[0]
    ece = np.average(np.abs(observed - predicted), weights=counts[counts > 0])
    return float(ece), brier_score_loss(y, p), log_loss(y, p)


def looped(measure: Callable[[FloatArray, FloatArray], object], p: FloatArray, y: FloatArray) -> float:
    """Seconds a bootstrap replicate takes."""
    rng = np.random.default_rng(0)

    def replicates() -> None:
        for _ in range(LOOPED):
            rows = rng.integers(0, len(p), len(p))
            measure(p[rows], y[rows])

    return best_of(2, replicates) / LOOPED


def show(what: str, seconds: float, beside: str = "") -> None:
    print(f"{what:<66}{seconds:>10.2f} s   {beside}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--predictions", type=int, default=100_000)
    parser.add_argument("--bootstraps", type=int, default=1_000)
    options = parser.parse_args()
    n, draws = options.predictions, options.bootstraps
    rng = np.random.default_rng(0)
    p = rng.beta(5, 2, n)
    y = (rng.random(n) < p**1.2).astype(np.float64)
    groups = rng.integers(0, n // 3, n)

    def measured(groups: FloatArray | None = None) -> Report:
        return report(Predictions.of(p, y, groups=groups), draws=draws)

    print(f"{n:,} predictions, {draws:,} bootstraps, {os.cpu_count()} cores\n")
    ours = best_of(3, measured)
    show(f"all {len(NAMES)} figures, p-values, diagram with bands and null ECE", ours, "goal 2 s")
    show("  the same, by prompt", best_of(3, lambda: measured(groups)), "goal 2 s")
    show("  risk against coverage", best_of(3, lambda: risk_coverage(Predictions.of(p, y))))
    show("  the choice of a calibrator, out of fold", best_of(1, lambda: choose(p, y, groups)))
    for name, measure in (
        ("scikit-learn in a loop: ECE, Brier score and log loss alone", by_scikit_learn),
        ("relplot in a loop: smooth ECE alone", relplot.smECE),
    ):
        seconds = looped(measure, p, y) * draws
        show(name, seconds, f"ours, with everything: {seconds / ours:,.0f} times as fast")


if __name__ == "__main__":
    main()
