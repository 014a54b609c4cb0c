"""The ranking of models: equal to choix, to statsmodels, and to the truth it was drawn from; and what it says where it cannot be."""

from collections.abc import Iterable

import choix
import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from core.ranking import COLLINEAR, NO_LIMITS, NONE, SEPARATED, Comparisons, Ranking, head_to_head, rank
from core.surface import STYLE

RUNS = 400


def made(
    rows: Iterable[tuple[int, int, float]],
    m: int,
    style: np.ndarray | None = None,
    prompt: np.ndarray | None = None,
    annotator: np.ndarray | None = None,
) -> Comparisons:
    """Comparisons (model a, model b, score), each of its own prompt and by one annotator unless told otherwise."""
    first, second, score = (np.array(column) for column in zip(*rows, strict=True))
    n = len(first)
    return Comparisons(
        tuple(f"m{i}" for i in range(m)), first, second, score.astype(float), np.arange(n),
        np.arange(n) if prompt is None else prompt, np.zeros(n, int) if annotator is None else annotator,
        np.zeros((n, len(STYLE))) if style is None else style, {},
    )  # fmt: skip


def drawn(seed: int, *, m: int = 5, prompts: int = 60, effect: float = 0.0, alike: float = 0.3, by_annotator: float = 0.0,
          annotators: int = 30) -> tuple[Comparisons, np.ndarray]:  # fmt: skip
    """Comparisons from strengths -1 to 1 and an effect of length; 4 pairs a prompt, 3 judgements a pair. A judgement follows its
    prompt's own coin with probability ``alike``, its annotator's with ``by_annotator``: each alone is as likely as the model says."""
    rng = np.random.default_rng(seed)
    strength = np.linspace(-1, 1, m)
    prompt = np.repeat(np.arange(prompts), 12)
    first = np.repeat(rng.integers(0, m, prompts * 4), 3)
    second = (first + np.repeat(rng.integers(1, m, prompts * 4), 3)) % m
    length = np.repeat(rng.normal(size=prompts * 4), 3) + (strength[first] - strength[second]) / 2
    annotator = rng.integers(0, annotators, len(prompt))
    coin = rng.random(len(prompt))
    coin = np.where(rng.random(len(prompt)) < alike, rng.random(prompts)[prompt], coin)
    coin = np.where(rng.random(len(prompt)) < by_annotator, rng.random(annotators)[annotator], coin)
    score = coin < expit(strength[first] - strength[second] + effect * length)
    style = np.zeros((len(prompt), len(STYLE)))
    style[:, 0] = length
    return made(zip(first, second, score, strict=True), m, style, prompt, annotator), strength


def by_model(found: Ranking) -> np.ndarray:
    return np.array([one.strength.value for one in sorted(found.ranked, key=lambda one: one.model)])


@pytest.mark.parametrize("seed", range(5))
def test_without_ties_the_strengths_are_those_of_choix(seed: int) -> None:
    found, _ = drawn(seed)
    data = [
        (a, b) if score else (b, a)
        for a, b, score in zip(found.first, found.second, found.score, strict=True)
    ]
    ours = by_model(rank(found))
    for theirs in (
        choix.opt_pairwise(5, data, alpha=0, tol=1e-12),
        choix.ilsr_pairwise(5, data, tol=1e-12),
    ):
        assert ours == pytest.approx(theirs - theirs.mean(), abs=1e-6)
    assert ours.sum() == pytest.approx(0, abs=1e-9)


def test_a_tie_is_half_a_win_for_each() -> None:
    rng = np.random.default_rng(3)
    rows = [
        (a, b, float(rng.choice([0, 0.5, 1]))) for a in range(4) for b in range(4) if a != b for _ in range(9)
    ]
    data = []
    for a, b, score in rows:
        data += {1.0: [(a, b)] * 2, 0.0: [(b, a)] * 2, 0.5: [(a, b), (b, a)]}[score]
    theirs = choix.opt_pairwise(4, data, alpha=0, tol=1e-12)
    assert by_model(rank(made(rows, 4))) == pytest.approx(theirs - theirs.mean(), abs=1e-6)


@pytest.mark.parametrize("over", ["prompts", "both"])
def test_errors_are_those_of_statsmodels_clustered_logistic_regression(over: str) -> None:
    found, _ = drawn(1, effect=0.7)
    ours = rank(found, control=True, over=over)
    columns = np.zeros((len(found), 5))
    columns[np.arange(len(found)), found.first] += 1
    columns[np.arange(len(found)), found.second] -= 1
    length = found.style[:, :1] / np.sqrt((found.style[:, 0] ** 2).mean())
    groups = found.prompt if over == "prompts" else np.column_stack([found.prompt, found.annotator])
    theirs = sm.Logit(found.score, np.hstack([columns[:, 1:], length])).fit(disp=0, tol=1e-12, maxiter=100)
    # statsmodels factors in (n - 1) / (n - k) beside G / (G - 1).
    robust = sm.Logit(found.score, np.hstack([columns[:, 1:], length])).fit(
        disp=0, tol=1e-12, maxiter=100, cov_type="cluster", cov_kwds={"groups": groups}
    )
    n, k = len(found), 5
    error = np.sqrt((n - k) / (n - 1)) * robust.bse
    effect = ours.style["characters (log)"]
    assert effect.value == pytest.approx(theirs.params[-1], abs=1e-6)
    assert (effect.high - effect.low) / 2 / ours.quantile == pytest.approx(error[-1], rel=1e-5)
    place = {one.model: i for i, one in enumerate(ours.ranked)}
    i, j = place["m3"], place["m0"]
    covariance = ours.covariance
    apart = np.sqrt(covariance[i, i] + covariance[j, j] - 2 * covariance[i, j])
    assert apart == pytest.approx(error[2], rel=1e-5)
    assert by_model(ours)[3] - by_model(ours)[0] == pytest.approx(theirs.params[2], abs=1e-6)


@pytest.mark.parametrize(("effect", "control"), [(0.0, False), (0.8, True)])
def test_intervals_cover_the_truth_in_95_of_100_runs(effect: float, control: bool) -> None:
    strengths, styles, ranks = [], [], []
    for seed in range(RUNS):
        found, truth = drawn(seed, effect=effect)
        ranking = rank(found, control)
        held = {one.model: one for one in ranking.ranked}
        strengths.append(
            [held[f"m{i}"].strength.low <= b <= held[f"m{i}"].strength.high for i, b in enumerate(truth)]
        )
        ranks.append(all(held[f"m{i}"].best <= 5 - i <= held[f"m{i}"].worst for i in range(5)))
        if control:
            length, scale = ranking.style["characters (log)"], np.sqrt((found.style[:, 0] ** 2).mean())
            styles.append(length.low <= effect * scale <= length.high)
    assert 0.93 <= np.mean(strengths) <= 0.97
    assert np.mean(ranks) >= 0.95
    if control:
        assert 0.93 <= np.mean(styles) <= 0.97


def test_where_annotators_have_their_ways_intervals_need_them_too() -> None:
    covered = {"prompts": [], "both": []}
    for seed in range(RUNS // 2):
        found, truth = drawn(seed, prompts=150, by_annotator=0.4, annotators=15)
        for over, into in covered.items():
            held = {one.model: one.strength for one in rank(found, over=over).ranked}
            into.append([held[f"m{i}"].low <= b <= held[f"m{i}"].high for i, b in enumerate(truth)])
    assert np.mean(covered["prompts"]) < 0.92
    assert 0.93 <= np.mean(covered["both"]) <= 0.97


def test_a_control_takes_off_what_length_gave() -> None:
    """Two equally strong models, of which one writes longer answers, and people who like length."""
    rng = np.random.default_rng(0)
    length = rng.normal(1.0, 1.0, 4000)
    score = rng.random(4000) < expit(length)
    style = np.zeros((4000, len(STYLE)))
    style[:, 0] = length
    found = made(zip(np.zeros(4000, int), np.ones(4000, int), score, strict=True), 2, style)
    as_judged, equal = rank(found), rank(found, control=True)
    assert as_judged.ranked[0].model == "m0" and as_judged.ranked[0].strength.low > 0.2
    assert equal.ranked[0].strength.low < 0 < equal.ranked[0].strength.high
    assert equal.style["list items (log)"].value is None
    assert as_judged.style == {}


def test_the_chance_is_of_the_difference() -> None:
    found, _ = drawn(0)
    ranking = rank(found)
    one, other = ranking.chance(0, 4), ranking.chance(4, 0)
    top, bottom = ranking.ranked[0].strength.value, ranking.ranked[4].strength.value
    assert one.value == pytest.approx(expit(top - bottom))
    assert one.value + other.value == pytest.approx(1)
    assert one.low == pytest.approx(1 - other.high) and one.low < one.value < one.high
    assert ranking.ranked[0].points.value == pytest.approx(1000 + 400 * np.log10(np.e) * top)


def test_head_to_head_counts_ties_as_half() -> None:
    found = made([(0, 1, 1), (0, 1, 0.5), (1, 0, 1), (1, 2, 1), (2, 1, 1)], 3)
    told = head_to_head(found, ["m1", "m0", "m2"])
    assert (told["m0", "m1"].value, told["m0", "m1"].n) == (0.5, 3)
    assert told["m1", "m0"].value == 0.5
    assert ("m0", "m2") not in told
    assert {one.model: (one.won.value, one.won.n) for one in rank(found).standings} == {
        "m0": (0.5, 3), "m1": (0.5, 5), "m2": (0.5, 2),
    }  # fmt: skip


def test_a_model_that_never_lost_moves_nobody_else() -> None:
    rest, _ = drawn(2)
    rows = list(zip(rest.first, rest.second, rest.score, strict=True))
    whole = made([*rows, (5, 0, 1.0), (5, 4, 1.0), (1, 6, 1.0), (7, 8, 1.0), (7, 8, 0.0)], 9)
    ranking = rank(whole)
    assert by_model(ranking) == pytest.approx(by_model(rank(made(rows, 5))), abs=1e-9)
    why = {one.model: one.strength.reason for one in ranking.standings if one.strength.value is None}
    assert "won all of its 2 comparisons" in why["m5"] and "no upper limit" in why["m5"]
    assert "lost its only comparison" in why["m6"]
    assert "Nothing compares" in why["m7"] and "Nothing compares" in why["m8"]
    assert ranking.standings[-4:] == [one for one in ranking.standings if one.strength.value is None]


def test_a_group_that_beats_the_rest_throughout_is_apart() -> None:
    even = [(0, 1, 1), (0, 1, 0), (1, 2, 1), (1, 2, 0)]
    ranking = rank(made([*even, (3, 4, 1), (3, 4, 0), (3, 0, 1), (4, 2, 1)], 5))
    assert [one.model for one in ranking.ranked] == ["m0", "m1", "m2"]
    assert "how far apart they are has no limit" in ranking.standings[3].strength.reason


def test_what_cannot_be_ranked_says_why() -> None:
    nothing = Comparisons.of(table([]))
    assert (rank(nothing).standings, rank(nothing).reason) == ([], NONE)
    always = rank(made([(0, 1, 1.0)] * 5, 2))
    assert always.reason == NO_LIMITS and [one.model for one in always.standings] == ["m0", "m1"]
    assert always.standings[0].won.value == 1
    one_prompt = rank(made([(0, 1, 1.0), (0, 1, 0.0)], 2, prompt=np.zeros(2, int)))
    assert one_prompt.ranked[0].strength.low is None and "need 2 prompts or more" in one_prompt.reason
    assert one_prompt.ranked[0].best is None
    few, _ = drawn(0, annotators=3)
    assert "Intervals over annotators need 10" in rank(few, over="both").reason
    assert rank(few, over="both").ranked[0].strength.value == rank(few).ranked[0].strength.value


def test_style_that_decides_everything_or_goes_with_the_model_says_so() -> None:
    style = np.zeros((40, len(STYLE)))
    style[:, 0] = np.tile([1.0, -1.0], 20)
    first = np.tile([0, 1, 1, 0], 10)
    rows = list(zip(first, 1 - first, style[:, 0] > 0, strict=True))
    assert rank(made(rows, 2, style), control=True).reason == SEPARATED
    style[:, 0] = np.where(first == 0, 1.0, -1.0)
    ranking = rank(made(rows, 2, style), control=True)
    assert ranking.reason == COLLINEAR
    assert {one.strength.reason for one in ranking.standings} == {COLLINEAR}
    assert rank(made(rows, 2, style)).reason is None
    with pytest.raises(ValueError, match="needs the comparisons' style"):
        rank(Comparisons.of(table([("x", "y", "a")])), control=True)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(1, 4), st.sampled_from([0.0, 0.5, 1.0])),
        min_size=1,
        max_size=60,
    ),
    st.booleans(),
)
def test_which_answer_is_called_a_makes_no_difference(
    votes: list[tuple[int, int, float]], control: bool
) -> None:
    rows = [(a, (a + step) % 5, score) for a, step, score in votes]
    style = np.random.default_rng(len(rows)).normal(size=(len(rows), len(STYLE)))
    one = rank(made(rows, 5, style), control)
    other = rank(made([(b, a, 1 - score) for a, b, score in rows], 5, -style), control)
    assert one.reason == other.reason
    for standing, turned in zip(
        *(sorted(found.standings, key=lambda s: s.model) for found in (one, other)), strict=True
    ):
        for name in ("value", "low", "high"):
            assert getattr(standing.strength, name) == pytest.approx(getattr(turned.strength, name), abs=1e-6)
        assert standing.strength.reason == turned.strength.reason
        assert (standing.best is None) == (standing.strength.low is None)
    if one.ranked:
        assert sum(s.strength.value for s in one.ranked) == pytest.approx(0, abs=1e-9)


def table(rows: list[tuple[str | None, str | None, str]], first: list[bool] | None = None) -> pa.Table:
    """Judgements as the store gives them: models of a and b, choice."""
    columns = {
        "model_a": [a for a, _, _ in rows], "model_b": [b for _, b, _ in rows], "choice": [c for _, _, c in rows],
        "annotator": ["ann" for _ in rows],
    }  # fmt: skip
    coded = {name: pa.array(values, pa.string()).dictionary_encode() for name, values in columns.items()}
    plain = {name: pa.array(range(len(rows)), pa.int64()) for name in ("pair", "prompt")}
    return pa.table({**coded, **plain, "first": pa.array(first or [True] * len(rows), pa.bool_())})


def test_what_is_no_comparison_is_counted_by_reason() -> None:
    rows = [
        ("x", "y", "a"), ("y", "x", "a"), ("x", "y", "tie"), ("x", "y", "both_bad"), ("x", "x", "a"), (None, "y", "b"), ("x", "y", "b"),
    ]  # fmt: skip
    judged = table(rows, [True] * 6 + [False])
    found = Comparisons.of(judged)
    assert found.models == ("x", "y")
    assert found.score.tolist() == [1, 1, 0.5]
    assert (found.first.tolist(), found.second.tolist()) == ([0, 1, 0], [1, 0, 1])
    assert found.left_out == {"unnamed": 1, "same_model": 1, "repeat": 1, "both_bad": 1}
    dropped = Comparisons.of(judged, ties="drop")
    assert len(dropped) == 2 and dropped.left_out["tie"] == 1
