"""MACE against crowd-kit, simulation, and the competence published with UKPConvArg1."""

import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import MACE
from scipy.stats import spearmanr

from core import mace
from core.ratings import Ratings

Q = 3


def crowd(
    rng: np.random.Generator,
    raters: int,
    units: int,
    competence: np.ndarray,
    per_unit: int = 5,
    ties: float = 0.0,
) -> tuple[Ratings, np.ndarray]:
    """Votes on units of which a share are truly ties, by annotators who guess by a habit of their own."""
    habit = rng.dirichlet([2, 2, 1], raters)
    truth = rng.choice(Q, units, p=[(1 - ties) / 2, (1 - ties) / 2, ties])
    rater = np.argsort(rng.random((units, raters)), axis=1)[:, :per_unit].ravel()
    unit = np.repeat(np.arange(units), per_unit)
    guess = (rng.random(len(unit))[:, None] > habit[rater].cumsum(1)).sum(1)
    said = np.where(rng.random(len(unit)) < competence[rater], truth[unit], guess)
    names = [f"u{i:05}" for i in range(units)], [f"r{i:04}" for i in range(raters)]
    return Ratings(unit, rater, said, np.full(len(unit), np.nan), *names, ("a", "b", "tie")), truth


def test_the_posterior_equals_that_of_crowd_kit_where_categories_are_as_likely() -> None:
    rng = np.random.default_rng(1)
    competence = np.linspace(0.5, 0.95, 9)
    ratings, _ = crowd(rng, 9, 240, competence, per_unit=7, ties=1 / 3)
    data = pd.DataFrame({"task": ratings.unit, "worker": ratings.rater, "label": ratings.category})
    theirs = MACE(n_restarts=1, n_iter=60, method="em").fit_predict_proba(data).sort_index()[[0, 1, 2]]
    ours = mace.mace(ratings, max_iter=500, tol=0, smoothing=0.01 / Q)
    assert ours.prior == pytest.approx([1 / 3] * 3, abs=0.03)
    assert np.abs(ours.posterior - theirs.to_numpy()).mean() < 0.002


@pytest.mark.parametrize(
    ("raters", "units", "least", "ties"),
    [(200, 800, 0.0, 0.1), (40, 160, 0.0, 0.2), (6, 200, 0.4, 0.1), (6, 200, 0.4, 0.33)],
)
def test_intervals_hold_the_competence_that_was_set(
    raters: int, units: int, least: float, ties: float
) -> None:
    held, errors = [], []
    for seed in range(1200 // raters):
        rng = np.random.default_rng(seed)
        competence = rng.uniform(least, 1, raters)
        ratings, _ = crowd(rng, raters, units, competence, per_unit=min(5, raters // 2), ties=ties)
        found = mace.mace(ratings).competence
        held.append((found.low <= competence) & (competence <= found.high))
        errors.append(found.value - competence)
    assert 0.9 <= np.mean(held) <= 0.97
    assert abs(np.mean(errors)) < 0.05


def test_the_truth_is_found_and_better_than_by_votes() -> None:
    rng = np.random.default_rng(4)
    ratings, truth = crowd(rng, 60, 1500, np.where(np.arange(60) < 30, 0.9, 0.05))
    found = mace.mace(ratings)
    votes = np.zeros((1500, Q))
    np.add.at(votes, (ratings.unit, ratings.category), 1)
    assert (found.posterior.argmax(1) == truth).mean() > (votes.argmax(1) == truth).mean() + 0.03
    assert found.competence.low[:30].min() > found.competence.high[30:].max() - 0.2
    assert np.diff(found.log_posterior).min() > -1e-3


def test_who_always_says_the_same_knows_nothing_however_often_it_is_right() -> None:
    rng = np.random.default_rng(5)
    units = 300
    truth = (rng.random(units) < 0.3).astype(int)
    said = [np.where(rng.random(units) < 0.85, truth, 1 - truth) for _ in range(4)] + [
        np.zeros(units, dtype=int)
    ]
    ratings = Ratings(
        np.tile(np.arange(units), 5), np.repeat(np.arange(5), units), np.concatenate(said), np.full(5 * units, np.nan),
        [f"u{i:04}" for i in range(units)], list("vwxyz"), ("a", "b"),
    )  # fmt: skip
    found = mace.mace(ratings)
    assert (said[4] == truth).mean() > 0.65
    assert found.competence.high[4] < 0.25 < 0.4 < found.competence.low[:4].min()
    assert found.guess[4, 0] > 0.95


def test_who_shares_no_unit_is_not_judged_and_repeats_do_not_count() -> None:
    ratings = Ratings.from_rows(
        [("p1", "x", "a"), ("p1", "y", "a"), ("p1", "y", "b"), ("p2", "z", "a")], ("a", "b")
    )
    found = mace.mace(ratings)
    assert found.competence.n.tolist() == [1, 1, 0]
    assert found.competence[2].reason == mace.ALONE
    assert found.competence[0] == found.competence[1] and found.competence[0].value > 0.5
    assert mace.mace(Ratings.from_rows([], ("a", "b"))).competence.value.shape == (0,)


def test_reliability_goes_with_the_competence_published_for_ukp(shared_data: Path) -> None:
    """What is published rests on four more topics and on MACE of its own."""
    with gzip.open(shared_data / "ukp_convarg1" / "annotations.jsonl.gz") as file:
        rows = [json.loads(line) for line in file.read().split(b"\n") if line]
    ratings = Ratings.from_rows(
        [(r["pair_id"], r["annotator"], r["choice"]) for r in rows], ("a", "b", "tie")
    )
    published = {r["annotator"]: r["worker_competence_mace"] for r in rows}
    found = mace.mace(ratings).competence
    theirs = np.array([published[name] for name in ratings.raters])
    rho = {least: correlation(found.value, theirs, found.n >= least) for least in (1, 10, 50)}
    told = ", ".join(f"{r:.3f} (n {n:,}, {least} judgements or more)" for least, (r, n) in rho.items())
    print(f"Spearman's rho of reliability and published competence: {told}")
    assert {least: n for least, (_, n) in rho.items()} == {1: 3788, 10: 881, 50: 188}
    assert rho[1][0] > 0.73 and rho[10][0] > 0.84 and rho[50][0] > 0.84


def correlation(ours: np.ndarray, theirs: np.ndarray, rows: np.ndarray) -> tuple[float, int]:
    return float(spearmanr(ours[rows], theirs[rows])[0]), int(rows.sum())
