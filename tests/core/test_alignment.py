"""Alignment figures held against a plain count over pairs, and the change against simulated truth."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.agreement import raw_agreement
from core.alignment import FIGURES, SURE, TWICE, Aligned, change, parts
from core.held_out import HeldOut, windows
from core.ratings import Ratings

VOTES = st.tuples(*[st.integers(0, 3)] * 3).filter(any)
ROWS = st.lists(st.tuples(st.integers(0, 100), VOTES, st.sampled_from("PQR")), min_size=1, max_size=25)


def aligned(p: object, votes: object, group: object, at: object = None) -> Aligned:
    """Pairs whose outcome is the share of votes for a, a tie counting half."""
    said, counts = np.asarray(p, dtype=float), np.asarray(votes, dtype=np.int64).reshape(-1, 3)
    n = len(said)
    y = (counts[:, 0] + counts[:, 2] / 2) / counts.sum(1)
    names = np.array([f"x{i}" for i in range(n)], dtype=object)
    when = np.full(n, np.datetime64("NaT", "us")) if at is None else np.asarray(at, dtype="datetime64[us]")
    raw = np.log(np.clip(said, 1e-9, 1 - 1e-9) / np.clip(1 - said, 1e-9, 1))
    return Aligned(HeldOut(names, raw, said, y, np.asarray(group, dtype=object), names, when), counts)


@given(ROWS)
def test_each_figure_is_a_plain_mean_over_its_pairs(
    rows: list[tuple[int, tuple[int, int, int], str]],
) -> None:
    kept: dict[str, list[float]] = {name: [] for name in FIGURES}
    for percent, (a, b, tie), _ in rows:
        p, y = percent / 100, (a + tie / 2) / (a + b + tie)
        confidence = max(p, 1 - p)
        hit = 0.5 if p == 0.5 else float((p > 0.5) == (y > 0.5))
        kept["confidence"].append(confidence)
        kept["votes"].append(0.5 if p == 0.5 else y if p > 0.5 else 1 - y)
        if y == 0.5:
            kept["sure_of_a_tie"].append(confidence >= SURE)
        else:
            kept["accuracy"].append(hit)
            if confidence >= SURE:
                kept["wrong_though_sure"].append(1 - hit)
        if a + b >= 2:
            votes = "a" * a + "b" * b
            theirs = (a + b) / 2 if p == 0.5 else votes.count("a" if p > 0.5 else "b")
            kept["with_people"].append(theirs / len(votes))
            kept["among_people"].append(
                float(np.mean([one == other for one, other in combinations(votes, 2)]))
            )
            kept["ceiling"].append(max(a, b) / (a + b))
            if not tie and 0 in (a, b):
                kept["against_all"].append(1 - hit)
            elif y != 0.5:
                kept["against_most"].append(1 - hit)
    found = aligned(
        [row[0] / 100 for row in rows], [row[1] for row in rows], [row[2] for row in rows]
    ).figures()
    for name, values in kept.items():
        if values:
            assert found[name].value == pytest.approx(np.mean(values)) and found[name].n == len(values)
        else:
            assert found[name].value is None and found[name].reason == FIGURES[name]


def test_people_among_themselves_are_the_raw_agreement() -> None:
    r = np.random.default_rng(0)
    votes = r.multinomial(5, [0.6, 0.4], 200)
    rows = [
        (f"x{i}", f"u{j}", "ab"[c])
        for i, (a, _) in enumerate(votes)
        for j, c in enumerate([0] * a + [1] * (5 - a))
    ]
    expected = raw_agreement(Ratings.from_rows(rows)).value
    counts = np.column_stack([votes, np.zeros(200, int)])
    found = aligned(np.full(200, 0.7), counts, np.arange(200)).figures()
    assert found["among_people"].value == pytest.approx(expected)
    assert found["ceiling"].value is not None and found["with_people"].value is not None
    assert found["ceiling"].value >= max(found["with_people"].value, found["among_people"].value)


def test_intervals_are_over_prompts() -> None:
    r = np.random.default_rng(1)
    right = np.repeat(r.random(40) < 0.7, 25)
    votes = np.where(right[:, None], [3, 0, 0], [0, 3, 0])
    by_prompt = aligned(np.full(1000, 0.9), votes, np.repeat(np.arange(40), 25)).figures()["accuracy"]
    alone = aligned(np.full(1000, 0.9), votes, np.arange(1000)).figures()["accuracy"]
    assert by_prompt.high - by_prompt.low > 3 * (alone.high - alone.low)  # type: ignore[operator]
    one = aligned([0.9, 0.8], [[2, 0, 0]] * 2, ["P", "P"]).figures()["accuracy"]
    assert one.value == 1 and one.low is None and one.reason


def test_the_interval_of_a_change_covers_it_as_often_as_it_says() -> None:
    """60 prompts of four pairs, of which some have pairs on both sides; the truth is a fall by 0.1."""
    r = np.random.default_rng(2)
    covered, runs = 0, 200
    for _ in range(runs):
        skill = np.repeat(np.clip(r.normal(0.8, 0.08, 60), 0, 1), 4)
        late = np.repeat(np.arange(60) >= 20, 4) & ~((np.arange(240) % 4 == 0) & (np.arange(240) < 120))
        right = r.random(240) < skill - 0.1 * late
        votes = np.where(right[:, None], [3, 0, 0], [0, 3, 0])
        found = change(
            aligned(np.full(240, 0.9), votes, np.repeat(np.arange(60), 4)), np.flatnonzero(late), "accuracy"
        )
        covered += found.low <= -0.1 <= found.high  # type: ignore[operator]
    assert 0.90 <= covered / runs <= 0.98


def test_a_change_needs_prompts_on_both_sides() -> None:
    found = change(aligned([0.9] * 3, [[2, 0, 0]] * 3, ["P", "Q", "R"]), np.array([2]), "accuracy")
    assert found.value is None and "two prompts" in (found.reason or "")
    assert aligned([0.9], [[1, 0, 0]], ["P"]).figures()["ceiling"].reason == TWICE


def test_parts_add_up_and_small_ones_are_left_out() -> None:
    at = ["2026-01-05"] * 5 + ["2026-01-06"] * 2 + ["2026-02-01"] * 4 + ["NaT"]
    whole = aligned([0.9] * 12, [[2, 0, 0]] * 12, range(12), at)
    days, place = windows(whole.pairs.at)
    found, left_out = parts(whole, place, [str(day) for day in days], 3)
    assert {name: len(part) for name, part in found.items()} == {
        "2026-01-05": 5,
        "2026-02-01": 4,
    } and left_out == 3
    for width, starts in {
        "week": ["2026-01-05", "2026-01-26"],
        "month": ["2026-01-01", "2026-02-01"],
        "year": ["2026-01-01"],
    }.items():
        assert [str(day) for day in windows(whole.pairs.at, width)[0]] == starts  # type: ignore[arg-type]
