"""Annotators: every figure by hand or against another library, intervals and false alarms against simulation."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from core import annotators, bias
from core.agreement import proportion, raw_agreement
from core.annotators import ENOUGH, FALSE_ALARMS, WINDOWS, profiles, timeline
from core.bias import LENGTH, POSITION
from core.judgements import Judgements
from core.simulation import SimulatedAnnotator, default_panel
from tests.core.judged import judgements, simulated


def panel_of(seed: int, pairs: int = 300) -> Judgements:
    rng = np.random.default_rng(seed)
    return simulated(
        default_panel(), rng.uniform(-1, 1, pairs), rng.integers(200, 2000, (pairs, 2)), seed=seed
    )


@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_small_team_by_hand() -> None:
    judged = judgements(
        ("p1", "ann", "a", 1, 10.0), ("p1", "bob", "a", 1, 0.5), ("p1", "cat", "b", -1, 30.0),
        ("p2", "ann", "b", 1, 20.0), ("p2", "bob", "tie", 1, 0.5), ("p2", "ann", "a", -1, 90.0),
        ("p3", "cat", "a", 1, 50.0),
        marks={"p1": {"characters": (200, 100)}}, gold={"p1": "a", "p2": "tie"},
    )  # fmt: skip
    found = profiles(judged)
    figures = found.figures
    assert found.judged.tolist() == [3, 2, 2]
    assert [figures["seconds"][i].value for i in range(3)] == [20, 0.5, 40]
    assert figures["seconds"][0].low is None and figures["seconds"][0].reason == annotators.FEW_TIMES
    assert [figures["quick"][i].value for i in range(3)] == [0, 1, 0]
    assert [(figures["agreement"][i].value, figures["agreement"].n[i]) for i in range(3)] == [
        (0.25, 2),
        (0.25, 2),
        (0, 1),
    ]
    assert [(figures["gold"][i].value, figures["gold"].n[i]) for i in range(3)] == [(0.5, 2), (1, 2), (0, 1)]
    assert [(figures["left"][i].value, figures["left"].n[i]) for i in range(3)] == [
        (1 / 3, 3),
        (1, 1),
        (1, 2),
    ]
    assert [(figures["length"][i].value, figures["length"].n[i]) for i in range(3)] == [
        (1, 1),
        (1, 1),
        (0, 1),
    ]
    chance = (2 / 5) ** 2 + (2 / 5) ** 2 + (1 / 5) ** 2
    assert figures["kappa"][0].value == pytest.approx((0.25 - chance) / (1 - chance))
    assert (found.since[0], found.until[0]) == (judged.at[0], judged.at[5])
    assert np.isnan(found.changed).all()


def test_agreement_is_that_of_the_whole_and_its_interval_wilsons() -> None:
    judged = panel_of(1)
    found = profiles(judged).figures["agreement"]
    assert found.n @ found.value / found.n.sum() == pytest.approx(raw_agreement(judged.ratings()).value)
    quick = profiles(judged).figures["quick"]
    for row in range(6):
        expected = proportion(quick.value[row] * quick.n[row], int(quick.n[row]))
        assert (quick[row].low, quick[row].high) == pytest.approx((expected.low, expected.high))


def test_the_panel_is_told_apart() -> None:
    found = profiles(panel_of(2, 2000))
    careful, quick, left, long, undecided, guesses = range(6)
    reliability = found.figures["reliability"]
    assert reliability.low[careful] > reliability.high[guesses]
    assert found.order("reliability")[0] == guesses
    assert found.leanings[POSITION].flagged[left] and found.order("left")[0] == left
    assert found.leanings[LENGTH].flagged[long] and found.order("length")[0] == long
    assert found.order("seconds")[0] == found.order("quick")[0] == guesses
    assert found.figures["kappa"].value[careful] > found.figures["kappa"].value[undecided]
    assert found.order("judged").tolist() == np.argsort(-found.judged, kind="stable").tolist()
    assert found.order("gold").tolist() == found.order("judged").tolist()
    assert quick not in np.flatnonzero(found.leanings[LENGTH].flagged)


def test_few_judgements_put_nobody_on_top() -> None:
    rows = [
        (f"p{i}", who, choice)
        for i in range(40)
        for who, choice in (("ann", "a"), ("bob", "a"), ("low", "ab"[i % 4 < 3]))
    ]
    judged = judgements(*rows, ("p0", "once", "tie"))
    found = profiles(judged)
    names = [judged.names[row] for row in found.order("agreement")]
    assert (
        found.figures["agreement"].value[judged.names.index("once")]
        < found.figures["agreement"].value[judged.names.index("low")]
    )
    assert names[0] == "low"


@pytest.mark.parametrize("n", [6, 25, 101])
def test_the_interval_of_a_median_holds_it_in_at_least_95_of_100_runs(n: int) -> None:
    rng = np.random.default_rng(n)
    values = rng.lognormal(3, 0.6, 4000 * n)
    found = annotators._medians(values, np.repeat(np.arange(4000), n), 4000, "")
    assert found.value == pytest.approx(np.median(values.reshape(4000, n), axis=1))
    held = (found.low <= np.exp(3)) & (np.exp(3) <= found.high)
    assert 0.945 <= held.mean() <= 0.985


def lone(values: np.ndarray) -> np.ndarray:
    """p-values of no change, a row of values each."""
    rows, n = values.shape
    return annotators._changes(values.ravel(), np.repeat(np.arange(rows), n), rows)[0]


@pytest.mark.parametrize("n", [ENOUGH, 60, 400])
@pytest.mark.parametrize("kind", ["yes or no", "rarely", "times"])
def test_who_does_not_change_is_said_to_in_at_most_5_of_100_cases(n: int, kind: str) -> None:
    rng = np.random.default_rng(n)
    drawn = {
        "yes or no": rng.random((4000, n)) < 0.6,
        "rarely": rng.random((4000, n)) < 0.05,
        "times": rng.lognormal(0, 1, (4000, n)),
    }
    p = lone(np.log(drawn[kind]) if kind == "times" else drawn[kind].astype(float))
    assert np.nanmean(p <= FALSE_ALARMS) <= FALSE_ALARMS + 0.005


def test_a_change_is_found_and_dated() -> None:
    rng = np.random.default_rng(7)
    share = np.where(np.arange(200) < 120, 0.75, 0.4)
    values = (rng.random((500, 200)) < share).astype(float)
    p, place = annotators._changes(values.ravel(), np.repeat(np.arange(500), 200), 500)
    assert (p <= FALSE_ALARMS).mean() > 0.95
    assert abs(np.median(place - np.arange(500) * 200) - 119) <= 3


def steady_team(seed: int, harder: bool, worse: bool, pairs: int = 240) -> Judgements:
    """Five judge every pair in turn; from the middle on the pairs are harder, or the first annotator guesses."""
    rng = np.random.default_rng(seed)
    rows = []
    for pair in range(pairs):
        late = pair >= pairs // 2
        for who in range(5):
            skill = 0.6 if late and harder else 0.95
            right = rng.random() < (0.5 if late and worse and who == 0 else skill)
            rows.append(
                (
                    f"p{pair:03}",
                    f"s{who}",
                    "a" if right else "b",
                    1 if rng.random() < 0.5 else -1,
                    20 + 10 * rng.random(),
                )
            )
    return judgements(*rows)


def test_harder_pairs_are_no_change_of_an_annotator_but_guessing_is() -> None:
    harder = [profiles(steady_team(seed, harder=True, worse=False)) for seed in range(12)]
    assert np.mean([found.changed <= FALSE_ALARMS for found in harder]) <= 0.15
    for seed in range(4):
        judged = steady_team(seed, harder=False, worse=True)
        found = profiles(judged)
        assert found.changed_q[0] <= bias.FDR
        line = timeline(judged, 0)
        assert line["agreement"].p <= FALSE_ALARMS
        assert abs((line["agreement"].at - judged.at[600]) / np.timedelta64(1, "m")) < 150
        assert line["agreement"].windows[0][2].value > line["agreement"].windows[-1][2].value + 0.2


def test_a_time_line_splits_the_judgements_evenly_and_in_order() -> None:
    judged = panel_of(3)
    row = 2
    lines = timeline(judged, row)
    assert set(lines) == {"agreement", "pace", "left", "length"}
    mine = np.flatnonzero(judged.annotator == row)
    agreement = bias.company(judged)[mine]
    windows = lines["agreement"].windows
    assert len(windows) == WINDOWS
    assert [w[0] for w in windows] == sorted(w[0] for w in windows)
    assert (windows[0][0], windows[-1][1]) == (judged.at[mine[0]], judged.at[mine[-1]])
    assert sum(w[2].n for w in windows) == (~np.isnan(agreement)).sum()
    assert sum(w[2].value * w[2].n for w in windows) == pytest.approx(np.nansum(agreement))
    seconds, text = judged.seconds[mine], judged.marks[:, :, 0].sum(1)[judged.pair[mine]]
    first = slice(0, len(mine) // WINDOWS + (len(mine) % WINDOWS > 0))
    assert lines["pace"].windows[0][2].value == pytest.approx(np.median(1000 * seconds[first] / text[first]))
    assert all(line.p is not None and line.p > FALSE_ALARMS for line in lines.values())


def test_little_is_one_window_without_a_test() -> None:
    judged = judgements(("p1", "ann", "a"), ("p2", "ann", "b"))
    lines = timeline(judged, 0)
    assert [len(line.windows) for line in lines.values()] == [1] * 4
    assert all(line.p is None and line.at is None for line in lines.values())
    assert lines["agreement"].windows[0][2].reason == bias.NO_COMPANY
    assert lines["pace"].windows[0][2].reason == bias.NO_TIMES


def test_one_annotator_nobody_and_one_choice() -> None:
    alone = profiles(judgements(*((f"p{i}", "ann", "a", 1, 5.0) for i in range(3))))
    assert {name: alone.figures[name][0].value is None for name in alone.figures} == {
        "seconds": False, "quick": False, "agreement": True, "kappa": True, "gold": True, "reliability": True, "left": False, "length": True,
    }  # fmt: skip
    assert alone.figures["gold"][0].reason == annotators.NO_GOLD
    assert alone.figures["kappa"][0].reason == bias.NO_COMPANY
    same = profiles(judgements(*((f"p{i}", who, "a") for i in range(3) for who in ("ann", "bob"))))
    assert same.figures["kappa"][0].reason == annotators.ONE_CHOICE
    assert same.figures["agreement"][0].value == 1
    nobody = profiles(judgements())
    assert len(nobody.judged) == 0 and len(nobody.order("reliability")) == 0


@pytest.mark.parametrize("seed", range(5))
def test_holms_adjustment_is_that_of_statsmodels(seed: int) -> None:
    p = np.random.default_rng(seed).beta(0.3, 1, 4)
    p[:seed] = np.nan
    known = ~np.isnan(p)
    found = annotators._holm(p)
    assert np.isnan(found[~known]).all()
    if known.any():
        assert found[known] == pytest.approx(multipletests(p[known], method="holm")[1])


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 30))
def test_intervals_hold_their_values_and_nothing_fails(seed: int, people: int, pairs: int) -> None:
    rng = np.random.default_rng(seed)
    panel = [SimulatedAnnotator(f"s{i}", float(rng.uniform(0, 5)), tie_rate=0.2) for i in range(people)]
    judged = simulated(
        panel, np.full(pairs, np.nan), rng.integers(1, 500, (pairs, 2)), seed=seed, per_pair=min(people, 3)
    )
    found = profiles(judged)
    for figure in found.figures.values():
        known = ~np.isnan(figure.low)
        assert (figure.low[known] <= figure.value[known] + 1e-12).all()
        assert (figure.value[known] <= figure.high[known] + 1e-12).all()
    for row in range(people):
        if found.judged[row]:
            timeline(judged, row)
    bias.report(judged)
