"""Consensus against crowd-kit, simulation, gold labels, and what renaming may not change."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from crowdkit.aggregation import DawidSkene, MajorityVote
from hypothesis import given
from hypothesis import strategies as st

from core import consensus
from core.ratings import Ratings


def simulated(
    rng: np.random.Generator, units: int, confusion: np.ndarray, prior: Sequence[float], per_unit: int
) -> tuple[Ratings, np.ndarray]:
    """Votes of annotators with these confusion matrices, ``per_unit`` a unit, and the truth."""
    raters, q, _ = confusion.shape
    truth = rng.choice(q, units, p=prior)
    rater = np.argsort(rng.random((units, raters)), axis=1)[:, :per_unit].ravel()
    unit = np.repeat(np.arange(units), per_unit)
    chances = confusion[rater, truth[unit]].cumsum(1)
    category = (rng.random(len(unit))[:, None] > chances).sum(1)
    names = [f"u{i:06}" for i in range(units)], [f"r{i:04}" for i in range(raters)]
    return Ratings(unit, rater, category, np.full(len(unit), np.nan), *names, ("a", "b", "tie")[:q]), truth


def one_coin(accuracy: Sequence[float], q: int) -> np.ndarray:
    return np.array(
        [np.full((q, q), (1 - p) / (q - 1)) + np.eye(q) * (p - (1 - p) / (q - 1)) for p in accuracy]
    )


def frame(ratings: Ratings) -> pd.DataFrame:
    return pd.DataFrame({"task": ratings.unit, "worker": ratings.rater, "label": ratings.category})


@pytest.mark.filterwarnings("ignore::Warning:crowdkit")
@pytest.mark.parametrize("seed", range(4))
def test_equals_crowd_kit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    ratings, _ = simulated(rng, 80, one_coin([0.9, 0.8, 0.7, 0.6, 0.5], 3), [0.5, 0.3, 0.2], 4)
    data = frame(ratings)
    shares = MajorityVote().fit_predict_proba(data).sort_index()[[0, 1, 2]]
    voted = consensus.majority(ratings)
    assert voted.posterior == pytest.approx(shares.to_numpy())
    clear = voted.label >= 0
    assert (voted.label[clear] == shares.to_numpy().argmax(1)[clear]).all()
    theirs = DawidSkene(n_iter=25, tol=-1).fit(data)
    ours = consensus.dawid_skene(ratings, max_iter=25, tol=-1, smoothing=1e-9)
    assert ours.posterior == pytest.approx(theirs.probas_.sort_index()[[0, 1, 2]].to_numpy(), abs=1e-6)
    following = consensus.dawid_skene(ratings, max_iter=26, tol=-1, smoothing=1e-9)
    assert following.prior == pytest.approx(theirs.priors_[[0, 1, 2]].to_numpy(), abs=1e-6)
    errors = theirs.errors_.sort_index()[[0, 1, 2]].to_numpy().reshape(5, 3, 3)
    assert following.confusion == pytest.approx(errors.transpose(0, 2, 1), abs=1e-6)


def test_a_draw_and_an_unjudged_unit_stay_open() -> None:
    rows = [
        ("p1", "x", "a"),
        ("p1", "y", "b"),
        ("p2", "x", "a"),
        ("p3", "x", "tie"),
        ("p3", "y", "tie"),
        ("p3", "z", "b"),
    ]
    ratings = Ratings.from_rows(rows, ("a", "b", "tie", "both_bad"))
    kept = consensus.majority(ratings)
    assert kept.label.tolist() == [-1, 0, 2]
    assert kept.votes.tolist() == [2, 1, 3]
    assert kept.posterior[2] == pytest.approx([0, 1 / 3, 2 / 3, 0])
    dropped = consensus.majority(ratings, ties="drop")
    assert dropped.categories == ("a", "b")
    assert dropped.label.tolist() == [-1, 0, 1]
    only_ties = consensus.majority(Ratings.from_rows([("p1", "x", "tie")], ("a", "b", "tie")), ties="drop")
    assert (only_ties.label[0], only_ties.votes[0]) == (-1, 0)
    assert only_ties.posterior[0].tolist() == [0.5, 0.5]
    model = consensus.dawid_skene(ratings, ties="drop")
    assert model.categories == ("a", "b") and model.posterior.shape == (3, 2)


def test_only_the_first_judgement_votes() -> None:
    rows = [("p1", "x", "a"), ("p1", "x", "b"), ("p1", "x", "b")]
    assert consensus.majority(Ratings.from_rows(rows)).posterior[0].tolist() == [1, 0]
    assert consensus.dawid_skene(Ratings.from_rows(rows)).judged.tolist() == [1]


def test_no_annotations_give_an_empty_consensus() -> None:
    empty = Ratings.from_rows([], ("a", "b"))
    assert consensus.majority(empty).posterior.shape == (0, 2)
    assert consensus.dawid_skene(empty).label.shape == (0,)


def test_dawid_skene_recovers_annotators_and_beats_the_majority() -> None:
    """Ten careful annotators among twenty who guess or mix up two categories."""
    rng = np.random.default_rng(1)
    careful = one_coin([0.9] * 10, 3)
    guessing = one_coin([1 / 3] * 10, 3)
    mixing = np.tile(np.array([[0.2, 0.7, 0.1], [0.7, 0.2, 0.1], [0.1, 0.1, 0.8]]), (10, 1, 1))
    confusion = np.concatenate([careful, guessing, mixing])
    ratings, truth = simulated(rng, 3000, confusion, [0.5, 0.3, 0.2], 9)
    model = consensus.dawid_skene(ratings)
    assert model.converged
    assert model.confusion == pytest.approx(confusion, abs=0.09)
    assert model.prior == pytest.approx([0.5, 0.3, 0.2], abs=0.03)
    assert model.reliability[:10].min() > 0.85 and model.reliability[10:].max() < 0.5
    gold = [model.categories[t] for t in truth]
    better, worse = consensus.accuracy(model, gold), consensus.accuracy(consensus.majority(ratings), gold)
    assert better.low > worse.high  # type: ignore[operator]


def test_the_posterior_never_falls_from_one_iteration_to_the_next() -> None:
    rng = np.random.default_rng(2)
    ratings, _ = simulated(rng, 200, one_coin([0.6] * 12, 3), [0.4, 0.4, 0.2], 3)
    steps = np.diff(consensus.dawid_skene(ratings, max_iter=40, tol=-1).log_posterior)
    assert len(steps) == 39 and (steps > -1e-8).all()


def test_accuracy_against_gold_is_a_proportion() -> None:
    ratings = Ratings.from_rows(
        [("p1", "x", "a"), ("p2", "x", "b"), ("p3", "x", "a"), ("p4", "x", "a")], ("a", "b")
    )
    voted = consensus.majority(ratings)
    scored = consensus.accuracy(voted, ["a", "a", None, "tie"])
    assert (scored.value, scored.n) == (pytest.approx(1 / 3), 3)
    assert consensus.accuracy(voted, [None] * 4).reason == "No pair has a gold label."


rows = st.lists(
    st.tuples(st.sampled_from("pqrstu"), st.sampled_from("vwxyz"), st.sampled_from(["a", "b", "tie"])),
    min_size=1,
    max_size=30,
)


@given(rows, st.permutations("pqrstu"), st.permutations("vwxyz"))
def test_names_do_not_matter(rows: list[tuple[str, str, str]], units: list[str], raters: list[str]) -> None:
    unit, rater = dict(zip("pqrstu", units, strict=True)), dict(zip("vwxyz", raters, strict=True))
    plain = Ratings.from_rows(rows, ("a", "b", "tie"))
    renamed = Ratings.from_rows([(unit[u], rater[r], c) for u, r, c in rows], ("a", "b", "tie"))
    swapped = Ratings.from_rows(
        [(u, r, {"a": "b", "b": "a"}.get(c, c)) for u, r, c in rows], ("a", "b", "tie")
    )
    for method in (consensus.majority, lambda r: consensus.dawid_skene(r, max_iter=5, tol=-1)):
        before, after, mirror = method(plain), method(renamed), method(swapped)
        rank = [after.units.index(unit[u]) for u in before.units]
        assert before.posterior == pytest.approx(after.posterior[rank], abs=1e-9)
        assert before.votes.tolist() == after.votes[rank].tolist()
        assert before.posterior == pytest.approx(mirror.posterior[:, [1, 0, 2]], abs=1e-9)
        assert before.posterior.sum(1) == pytest.approx(1)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]


def test_real_consensus_against_gold(shared_data: Path) -> None:
    """UKPConvArg1: the gold labels came from the same votes by MACE, so a sound consensus is near them."""
    judged = read_lines(shared_data / "ukp_convarg1" / "annotations.jsonl.gz")
    pairs = read_lines(shared_data / "ukp_convarg1" / "pairs_all.jsonl.gz")
    name = {"a1": "a", "a2": "b", "equal": "tie", None: None}
    gold_of = {pair["pair_id"]: name[pair["gold_label"]] for pair in pairs}
    ratings = Ratings.from_rows(
        ((j["pair_id"], j["annotator"], j["choice"]) for j in judged), ("a", "b", "tie")
    )
    gold = [gold_of[unit] for unit in ratings.units]
    model = consensus.dawid_skene(ratings)
    voted, estimated = consensus.accuracy(consensus.majority(ratings), gold), consensus.accuracy(model, gold)
    assert voted.n == estimated.n == sum(label is not None for label in gold) > 12_000
    assert voted.value is not None and voted.value > 0.8
    assert estimated.value is not None and estimated.value > 0.8
    competence = {j["annotator"]: j["worker_competence_mace"] for j in judged}
    busy = model.judged >= 30
    mace = np.array([competence[rater] for rater in model.raters])[busy]
    assert np.corrcoef(mace, model.reliability[busy])[0, 1] > 0.5
