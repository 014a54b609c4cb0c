"""Bias in the labels: intervals hold the set bias of simulated annotators as often as they say; small cases by hand."""

from functools import cache

import numpy as np
import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from core import bias
from core.bias import LENGTH, POSITION, TRAITS
from core.clustered import ONE_PROMPT
from core.estimate import Estimate
from core.judgements import Judgements
from core.simulation import SimulatedAnnotator
from tests.core.judged import judgements, simulated

RUNS = 400
SIX = np.random.default_rng(9).normal(size=(6, 3))


def world(seed: int, annotators: int, prompts: int, fixed: np.ndarray | None = None) -> Judgements:
    """Annotators who favour the left by 0.4 logits and length by 0.6 on average, 0.3 about it; prompts of which two pairs are alike in
    quality and in how much longer one answer is; three judgements a pair. The people are drawn too, unless ``fixed``."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(annotators, 3)) if fixed is None else fixed
    panel = [
        SimulatedAnnotator(f"s{i}", max(0.0, 2 + ability), 0.4 + 0.3 * left, 0.6 + 0.3 * length, 0.1)
        for i, (left, length, ability) in enumerate(drawn)
    ]
    pairs = 2 * prompts
    ratio = np.repeat(rng.normal(0, 0.4, prompts), 2) + rng.normal(0, 0.3, pairs)
    gap = np.repeat(rng.normal(0, 0.3, prompts), 2) + rng.normal(0, 0.3, pairs) + 0.2 * ratio
    lengths = np.exp(6 + rng.normal(0, 0.5, (pairs, 1)) + np.column_stack([ratio / 2, -ratio / 2]))
    return simulated(panel, np.clip(gap, -1, 1), np.maximum(np.round(lengths), 1), seed=seed)


def figures(judged: Judgements) -> dict[str, Estimate]:
    found = bias.effects(judged)
    return {
        f"{name} {of}": getattr(found[name], of) for name in (POSITION, LENGTH) for of in ("share", "odds")
    }


@cache
def coverage(annotators: int, prompts: int, whose: str) -> dict[str, float]:
    """How many intervals in RUNS hold what 600,000 judgements say."""
    fixed = SIX if whose == "these" else None
    truth = figures(world(0, annotators if whose == "these" else 4000, 100_000, fixed))
    held = dict.fromkeys(truth, 0)
    for seed in range(1000, 1000 + RUNS):
        for name, found in figures(world(seed, annotators, prompts, fixed)).items():
            held[name] += found.low <= truth[name].value <= found.high
    return {name: count / RUNS for name, count in held.items()}


@pytest.mark.parametrize(
    "name", [f"{trait} {of}" for trait in (POSITION, LENGTH) for of in ("share", "odds")]
)
@pytest.mark.parametrize("population", [(200, 150, "any"), (6, 60, "these")], ids=["any people", "these six"])
def test_intervals_hold_the_set_bias_in_93_to_97_of_100_runs(
    name: str, population: tuple[int, int, str]
) -> None:
    assert 0.93 <= coverage(*population)[name] <= 0.97


def test_what_is_preferred_by_hand() -> None:
    judged = judgements(
        ("p1", "ann", "a", 1), ("p1", "bob", "a", -1), ("p1", "cat", "tie", 1),
        ("p2", "ann", "b", 1), ("p2", "bob", "b"), ("p3", "ann", "both_bad", 1),
        marks={"p1": {"characters": (200, 100), "bold": (0, 3)}, "p2": {"characters": (100, 150), "links": (1, 0)}},
    )  # fmt: skip
    found = bias.effects(judged)
    assert {name: (e.share.value, e.share.n) for name, e in found.items() if e.share.n} == {
        "left": (pytest.approx(1 / 3), 3), "length": (1.0, 4), "bold": (0.0, 2), "links": (0.0, 2),
    }  # fmt: skip
    assert found["code"].share.reason == found["code"].odds.reason == bias.ALIKE
    assert bias.differences(judged)[:, :2] == pytest.approx(
        np.array([[1, np.log2(201 / 101)], [-1, np.log2(201 / 101)], [1, np.log2(201 / 101)],
                  [1, np.log2(101 / 151)], [0, np.log2(101 / 151)], [1, 0]])
    )  # fmt: skip


def test_sides_that_were_not_dealt_out_evenly_are_told_from_a_lean() -> None:
    rng = np.random.default_rng(3)
    for lean, holds in ((0.5, True), (0.65, False)):
        quality = rng.random(400) < 0.5
        pair, better = np.repeat(np.arange(400), 10), np.repeat(quality, 10)
        left = rng.random(4000) < np.where(better, 0.8, 0.2)
        for_a = np.log(lean / (1 - lean)) * np.where(left, 1, -1) + np.where(better, 1.5, -1.5)
        choice = np.where(rng.random(4000) < 1 / (1 + np.exp(-for_a)), "a", "b")
        judged = judgements(
            *(
                (f"p{p}", f"s{i % 10}", c, 1 if a else -1)
                for i, (p, c, a) in enumerate(zip(pair, choice, left, strict=True))
            )
        )
        found = bias.report(judged)
        assert found.effects[POSITION].share.low > 0.6
        assert found.a_left.value == pytest.approx(left.mean())
        by_side = [(choice[left & better] == "a").mean() - (choice[~left & better] == "a").mean(),
                   (choice[left & ~better] == "a").mean() - (choice[~left & ~better] == "a").mean()]  # fmt: skip
        assert found.balanced.value == pytest.approx(0.5 + np.mean(by_side) / 2, abs=0.02)
        assert (found.balanced.low <= 0.5 <= found.balanced.high) == holds


def test_pairs_are_won_by_consensus_and_by_gold() -> None:
    judged = judgements(
        *((f"p{i}", who, "a" if i < 4 else "b") for i in range(5) for who in ("ann", "bob", "cat")),
        marks={f"p{i}": {"characters": (200, 100), "code": (1, 0)} for i in range(5)},
        gold={"p0": "a", "p1": "b", "p2": "tie"},
    )
    found = bias.report(judged).pairs
    assert [(found[by]["length"].value, found[by]["length"].n) for by in ("consensus", "clear", "gold")] == [
        (0.8, 5), (0.8, 5), (0.5, 2),
    ]  # fmt: skip
    assert found["consensus"]["code"].value == 0.8
    assert found["gold"]["links"].reason == bias.ALIKE
    assert bias.report(judgements(("p0", "ann", "a"))).pairs["gold"]["length"].reason == bias.NO_LABEL


def test_one_annotator_is_tested_exactly_and_many_are_adjusted_for() -> None:
    rng = np.random.default_rng(1)
    rows = [
        (f"p{i}-{who}", f"s{who}", "ab"[int(rng.random() < 0.5)], 1)
        for who in range(12)
        for i in range(3 * who)
    ]
    found = bias.by_annotator(judgements(*rows, ("p", "t", "tie", 1)), POSITION)
    names = sorted({f"s{i}" for i in range(1, 12)} | {"t"})
    tested = [names.index(name) for name in names if name != "t"]
    exact = [
        binomtest(round(found.share.value[i] * found.share.n[i]), int(found.share.n[i])).pvalue
        for i in tested
    ]
    assert found.p[tested] == pytest.approx(exact)
    assert found.q[tested] == pytest.approx(multipletests(exact, method="fdr_bh")[1])
    assert np.isnan(found.q[names.index("t")]) and found.share[names.index("t")].reason == bias.NO_SIDES


def test_who_reads_left_to_right_is_flagged_at_the_rate_that_is_stated() -> None:
    """Of 40 annotators ten favour the left; the share of false flags among all stays below FDR on average, and most are found."""
    rng = np.random.default_rng(2)
    false, found = [], []
    for _ in range(200):
        lean = np.where(np.arange(40) < 10, 0.75, 0.5)
        chose_left = rng.random((40, 60)) < lean[:, None]
        side = rng.choice([1, -1], (40, 60))
        judged = Judgements(
            np.arange(2400), np.repeat(np.arange(40), 60), np.where(chose_left == (side > 0), 0, 1).ravel(), side.ravel(),
            np.full(2400, np.nan), np.zeros(2400, dtype="datetime64[us]"), [""] * 2400, np.arange(2400), np.full(2400, -1),
            np.zeros((2400, 2, len(TRAITS) - 1)), [""] * 40, [""] * 40, [""] * 40,
        )  # fmt: skip
        flagged = bias.by_annotator(judged, POSITION).flagged
        false.append(flagged[10:].sum() / max(flagged.sum(), 1))
        found.append(flagged[:10].mean())
    assert np.mean(false) <= bias.FDR
    assert np.mean(found) > 0.8


def test_a_lean_to_length_is_told_from_what_all_do() -> None:
    rows = [
        (f"p{i}", who, "a" if who != "odd" or i % 3 else "b")
        for i in range(60)
        for who in ("ann", "bob", "odd")
    ]
    judged = judgements(*rows, marks={f"p{i}": {"characters": (200, 100)} for i in range(60)})
    found = bias.by_annotator(judged, LENGTH)
    assert found.null == pytest.approx(160 / 180)
    assert found.share.value == pytest.approx([1, 1, 2 / 3])
    assert found.flagged.tolist() == [True, True, True]


def test_agreement_with_each_of_the_others_is_counted() -> None:
    judged = judgements(
        ("p1", "ann", "a"), ("p1", "bob", "a"), ("p1", "cat", "b"), ("p1", "dan", "tie"), ("p1", "ann", "b"),
        ("p2", "ann", "a"), ("p2", "ann", "a"),
    )  # fmt: skip
    assert bias.company(judged) == pytest.approx([1 / 3, 1 / 3, 0, 0, np.nan, np.nan, np.nan], nan_ok=True)


def hasty(seed: int) -> Judgements:
    """Six annotators, of whom the guessers take no time, half of the pairs; the better answer is never in doubt."""
    rng = np.random.default_rng(seed)
    rows = []
    for pair in range(120):
        for who in rng.choice(6, 3, replace=False):
            quick = bool(rng.random() < (0.8 if who < 2 else 0.1))
            right = rng.random() < (0.5 if quick else 0.9)
            rows.append(
                (f"p{pair}", f"s{who}", "a" if right else "b", 1, 0.5 if quick else 20 + rng.random())
            )
    return judgements(*rows)


def test_quick_judgements_agree_less_and_within_an_annotator_too() -> None:
    judged = hasty(1)
    found = bias.speed(judged)
    quick = judged.seconds < 1
    agreement = bias.company(judged)
    assert found.quick.value == pytest.approx(quick.mean())
    assert found.hasty.value == pytest.approx(agreement[quick].mean())
    assert found.careful.value == pytest.approx(agreement[~quick].mean())
    assert found.less.value == pytest.approx(found.hasty.value - found.careful.value)
    assert found.less.high < 0 and found.within.high < 0
    assert [n for *_, e in found.parts for n in (e.n,)] == [72] * 5
    assert found.parts[-1][0] == 400 and found.parts[0][2].value > found.parts[-1][2].value
    assert sum(e.value * e.n for *_, e in found.parts) == pytest.approx(agreement.sum())


def test_what_cannot_be_told_says_why() -> None:
    untimed, alone = (
        judgements(("p1", "ann", "a"), ("p1", "bob", "a")),
        judgements(("p1", "ann", "a", 1, 9.0)),
    )
    assert bias.speed(untimed).quick.reason == bias.speed(untimed).less.reason == bias.NO_TIMES
    assert bias.speed(alone).quick.value == 0 and bias.speed(alone).less.reason == bias.NO_COMPANY
    slow = judgements(("p1", "ann", "a", 1, 9.0), ("p1", "bob", "a", 1, 9.0))
    assert bias.speed(slow).less.reason == bias.NONE_QUICK
    fast = judgements(("p1", "ann", "a", 1, 0.1), ("p1", "bob", "a", 1, 0.1))
    assert bias.speed(fast).less.reason == bias.ALL_QUICK
    assert bias.report(alone).balanced.reason == bias.ONE_WAY
    assert bias.report(alone).effects[POSITION].share.reason == ONE_PROMPT
    assert (
        bias.report(untimed).balanced.reason
        == bias.report(untimed).effects[POSITION].odds.reason
        == bias.NO_SIDES
    )
    tied = bias.report(judgements(("p1", "ann", "tie", 1, 9.0)))
    assert {effect.share.reason for effect in tied.effects.values()} == {bias.NOTHING}


def test_nothing_at_all() -> None:
    empty = judgements()
    found = bias.report(empty)
    assert all(effect.share.value is None and effect.odds.value is None for effect in found.effects.values())
    assert not found.speed.parts and len(bias.by_annotator(empty, POSITION).p) == 0
