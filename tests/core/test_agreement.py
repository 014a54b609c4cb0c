"""Agreement against published values, other libraries, simulation and its own stated limits."""

import gzip
import json
import math
import warnings
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from time import process_time
from typing import Any

import krippendorff
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit
from sklearn.metrics import cohen_kappa_score
from statsmodels.stats import inter_rater
from statsmodels.stats.proportion import proportion_confint

from core import agreement
from core.estimate import Estimate
from core.ratings import Ratings

Rows = list[list[int | None]]


def table(rows: Iterable[Iterable[int | None]], q: int | None = None) -> Ratings:
    """Ratings from a table of units by raters, None where a rater did not judge."""
    long = [
        (f"u{u:05}", f"r{r:03}", str(c))
        for u, row in enumerate(rows)
        for r, c in enumerate(row)
        if c is not None
    ]
    return Ratings.from_rows(long, tuple(map(str, range(q))) if q else None)


def spread(counts: Iterable[Iterable[int]]) -> list[list[int]]:
    """A table with as many judgements of each category as the counts say."""
    return [[c for c, k in enumerate(row) for _ in range(k)] for row in counts]


def random_table(rng: np.random.Generator, units: int, raters: int, q: int, missing: float) -> Rows:
    truth = rng.integers(0, q, units)
    votes = np.where(rng.random((units, raters)) < 0.5, truth[:, None], rng.integers(0, q, (units, raters)))
    return [[None if rng.random() < missing else int(c) for c in row] for row in votes]


def as_floats(rows: Rows) -> np.ndarray:
    return np.array([[np.nan if c is None else c for c in row] for row in rows])


@pytest.fixture(scope="session")
def vectors(shared_data: Path) -> dict[str, Any]:
    entries = json.loads((shared_data / "agreement_vectors" / "vectors.json").read_text())
    return {entry["name"]: entry for entry in entries}


def test_published_values_with_missing_cells(vectors: dict[str, Any]) -> None:
    entry = vectors["krippendorff_C_4raters_12units"]
    want = entry["expected"]
    ratings = table([[None if c is None else c - 1 for c in row] for row in entry["data"]], 5)
    assert agreement.raw_agreement(ratings).value == pytest.approx(want["percent_agreement"], abs=5e-8)
    ac1 = agreement.gwet_ac1(ratings)
    assert ac1.value == pytest.approx(want["gwet_ac1"], abs=5e-6)
    assert [ac1.low, ac1.high] == pytest.approx(want["gwet_ac1_ci95"], abs=5e-4)
    t = 2.2009851600916366
    assert (ac1.value - ac1.low) / t == pytest.approx(want["gwet_ac1_se"], abs=5e-6)
    fleiss = agreement.fleiss_kappa(ratings)
    assert fleiss.value == pytest.approx(want["fleiss_kappa_gwet_generalised_missing"], abs=5e-6)
    assert (fleiss.value - fleiss.low) / t == pytest.approx(want["fleiss_se"], abs=5e-6)
    alpha = agreement.krippendorff_alpha(ratings)
    assert alpha.value == pytest.approx(want["krippendorff_alpha_nominal"], abs=5e-6)
    assert (alpha.value - alpha.low) / 2.2281388519649385 == pytest.approx(
        want["krippendorff_alpha_se_gwet"], abs=5e-6
    )
    ordinal = agreement.krippendorff_alpha(ratings, "ordinal")
    assert ordinal.value == pytest.approx(want["krippendorff_alpha_ordinal"], abs=5e-4)
    level = np.arange(1.0, 6.0)
    distance = ((level[:, None] - level) / (level[:, None] + level)) ** 2
    by_ratio = agreement.krippendorff_alpha(ratings, distance)
    assert by_ratio.value == pytest.approx(want["krippendorff_alpha_ratio"], abs=5e-4)


def test_published_values_of_complete_tables(vectors: dict[str, Any]) -> None:
    wikipedia = vectors["fleiss_wikipedia_14raters_10subjects"]
    kappa = agreement.fleiss_kappa(table(spread(wikipedia["data"]), 5))
    assert kappa.value == pytest.approx(wikipedia["expected"]["fleiss_kappa"], abs=wikipedia["tolerance"])
    entry = vectors["irrcac_distrib_6raters_15patients"]
    want = entry["expected"]
    ratings = table(spread(entry["data"]), 5)
    assert agreement.raw_agreement(ratings).value == pytest.approx(want["percent_agreement"], abs=5e-8)
    fleiss, ac1 = agreement.fleiss_kappa(ratings), agreement.gwet_ac1(ratings)
    assert fleiss.value == pytest.approx(want["fleiss_kappa"], abs=5e-8)
    assert ac1.value == pytest.approx(want["gwet_ac1"], abs=5e-8)
    assert [ac1.low, ac1.high] == pytest.approx(want["gwet_ac1_ci95"], abs=5e-4)
    t = 2.1447866879169273
    assert (fleiss.high - fleiss.value) / t == pytest.approx(want["fleiss_se"], abs=5e-8)
    assert (ac1.high - ac1.value) / t == pytest.approx(want["gwet_ac1_se"], abs=5e-8)
    alpha = agreement.krippendorff_alpha(ratings)
    assert alpha.value == pytest.approx(want["krippendorff_alpha_nominal"], abs=5e-8)


def test_published_cohen_kappa_with_its_interval(vectors: dict[str, Any]) -> None:
    entry = vectors["sas_table10"]
    rows = [(i, j) for i, row in enumerate(entry["data"]) for j, k in enumerate(row) for _ in range(k)]
    ratings = table(rows, 3)
    for kappa in (agreement.cohen_kappa(ratings), agreement.cohen_kappas(ratings).estimate(0)):
        assert kappa.value == pytest.approx(entry["expected"]["cohen_kappa"], abs=entry["tolerance"])
        assert [kappa.low, kappa.high] == pytest.approx(
            entry["expected"]["cohen_ci95"], abs=entry["tolerance"]
        )
        assert kappa.n == 19


@pytest.mark.parametrize("seed", range(12))
def test_equals_other_libraries_on_random_tables(seed: int) -> None:
    rng = np.random.default_rng(seed)
    units, raters, q = int(rng.integers(5, 60)), int(rng.integers(2, 7)), int(rng.integers(2, 6))
    rows = random_table(rng, units, raters, q, rng.choice([0.0, 0.3, 0.6]))
    ratings, data = table(rows, q), as_floats(rows)
    distance = (np.arange(q)[:, None] - np.arange(q)) ** 2.0
    for level, name in (("nominal", "nominal"), ("ordinal", "ordinal"), (distance, "interval")):
        expected = krippendorff.alpha(data.T, value_domain=np.arange(q), level_of_measurement=name)
        assert agreement.krippendorff_alpha(ratings, level).value == pytest.approx(expected)
    complete = data[~np.isnan(data).any(1)]
    if len(complete) > 1:
        counts, _ = inter_rater.aggregate_raters(complete.astype(int), n_cat=q)
        fleiss = agreement.fleiss_kappa(table(complete.astype(int).tolist(), q))
        assert fleiss.value == pytest.approx(inter_rater.fleiss_kappa(counts))
    kappas = agreement.cohen_kappas(ratings, min_shared=2)
    seen = {
        (int(a), int(b)): row for row, (a, b) in enumerate(zip(kappas.rater_a, kappas.rater_b, strict=True))
    }
    values, weights = [], []
    for a, b in combinations(range(raters), 2):
        both = data[~np.isnan(data[:, [a, b]]).any(1)][:, [a, b]].astype(int)
        if not len(both):
            assert (a, b) not in seen
            continue
        estimate = kappas.estimate(seen[a, b])
        assert estimate.n == len(both)
        if len(both) < 2 or len(np.unique(both)) == 1:
            assert estimate.value is None and estimate.reason
            continue
        cells = np.zeros((q, q))
        np.add.at(cells, tuple(both.T), 1)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reference = inter_rater.cohens_kappa(cells)
        assert estimate.value == pytest.approx(cohen_kappa_score(*both.T, labels=range(q)))
        if reference.std_kappa > 1e-6:
            wald = np.clip([reference.kappa_low, reference.kappa_upp], -1, 1)
            assert [estimate.low, estimate.high] == pytest.approx(wald)
        values.append(estimate.value)
        weights.append(len(both))
    mean = agreement.cohen_kappa(ratings, min_shared=2)
    if values:
        assert mean.value == pytest.approx(np.average(values, weights=weights))
    else:
        assert mean.value is None


ONE_CATEGORY: Rows = [[0, 0, None]] * 6 + [[0, 0, 0]] * 6
NO_OVERLAP: Rows = [[0, None, None], [None, 1, None], [None, None, 0]] * 4


@pytest.mark.parametrize("rows", [ONE_CATEGORY, NO_OVERLAP])
@pytest.mark.filterwarnings("ignore:invalid value")
def test_where_other_libraries_have_no_number_there_is_a_reason(rows: Rows) -> None:
    ratings, data = table(rows, 2), as_floats(rows)
    alpha = agreement.krippendorff_alpha(ratings)
    assert alpha.value is None and alpha.reason
    try:
        theirs = krippendorff.alpha(data.T, value_domain=[0, 1], level_of_measurement="nominal")
    except ValueError as error:
        assert "at least two coders" in str(error) and "two annotators" in alpha.reason
    else:
        assert np.isnan(theirs)
    complete = data[~np.isnan(data).any(1)].astype(int)
    if len(complete):
        assert np.isnan(inter_rater.fleiss_kappa(inter_rater.aggregate_raters(complete, n_cat=2)[0]))
        assert np.isnan(cohen_kappa_score(*complete[:, :2].T))
    for kappa in (agreement.fleiss_kappa(ratings), agreement.cohen_kappa(ratings, min_shared=2)):
        assert kappa.value is None and kappa.reason


def gwet_by_hand(rows: Rows, q: int, weights: Iterable[complex]) -> tuple[complex, complex]:
    """Raw agreement and AC1 of units with these weights, annotator pair by annotator pair, as Gwet (2008) defines them."""
    agreeing = several = judged = 0j
    share = [0j] * q
    for row, weight in zip(rows, weights, strict=True):
        given = [c for c in row if c is not None]
        judged += weight * bool(given)
        for c in given:
            share[c] += weight / len(given)
        if both := list(combinations(given, 2)):
            several += weight
            agreeing += weight * sum(x == y for x, y in both) / len(both)
    raw = agreeing / several
    chance = sum(s / judged * (1 - s / judged) for s in share) / (q - 1)
    return raw, (raw - chance) / (1 - chance)


def some_table(seed: int) -> tuple[Rows, int]:
    """A small table and its number of categories; every third of two annotators."""
    rng = np.random.default_rng(seed)
    raters, q = int(rng.integers(3, 7)) if seed % 3 else 2, int(rng.integers(2, 6))
    return random_table(rng, int(rng.integers(5, 30)), raters, q, rng.choice([0.0, 0.3, 0.6])), q


@pytest.mark.parametrize(("rows", "q"), [*map(some_table, range(18)), (ONE_CATEGORY, 2), (ONE_CATEGORY, 5)])
def test_gwets_ac1_and_raw_agreement_are_as_defined(rows: Rows, q: int) -> None:
    ratings = table(rows, q)
    found = [agreement.raw_agreement(ratings).value, agreement.gwet_ac1(ratings).value]
    assert found == pytest.approx([value.real for value in gwet_by_hand(rows, q, [1] * len(rows))], abs=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_gwets_interval_is_the_infinitesimal_jackknifes(seed: int) -> None:
    """Efron (1982), with the derivatives by a complex step. It is Gwet's where each unit has two annotators or more."""
    rows, q = some_table(seed)
    rows = [row for row in rows if len(row) - row.count(None) > 1]
    n, step = len(rows), 1e-30
    influence = [
        gwet_by_hand(rows, q, [1 + step * 1j * (i == j) for j in range(n)])[1].imag / step * n
        for i in range(n)
    ]
    half = stdtrit(n - 1, 0.975) * np.sqrt(np.square(influence).sum() / (n * (n - 1)))
    ac1 = agreement.gwet_ac1(table(rows, q))
    assert ac1.value is not None and half > 0.01
    assert [ac1.low, ac1.high] == pytest.approx([max(-1, ac1.value - half), min(1, ac1.value + half)])


def test_raw_agreement_is_the_share_of_agreeing_annotator_pairs() -> None:
    rng = np.random.default_rng(5)
    rows = random_table(rng, 40, 6, 3, 0.5)
    ratings = table(rows, 3)
    expected = {}
    for unit, row in enumerate(rows):
        given = [c for c in row if c is not None]
        if len(given) >= 2:
            expected[f"u{unit:05}"] = np.mean([x == y for x, y in combinations(given, 2)])
    shares = dict(zip(ratings.units, agreement.by_unit(ratings), strict=True))
    assert {u: s for u, s in shares.items() if not math.isnan(s)} == pytest.approx(expected)
    assert agreement.raw_agreement(ratings).value == pytest.approx(np.mean(list(expected.values())))
    assert agreement.raw_agreement(ratings).n == len(expected)


@pytest.mark.parametrize(("successes", "n"), [(0, 7), (7, 7), (3, 11), (500, 1000)])
def test_proportion_is_wilsons(successes: int, n: int) -> None:
    share = agreement.proportion(successes, n)
    assert (share.low, share.high) == pytest.approx(
        proportion_confint(successes, n, method="wilson"), abs=1e-12
    )
    assert (share.value, share.n) == (successes / n, n)


def test_two_annotators_raw_agreement_has_wilsons_interval() -> None:
    ratings = table([[0, 0]] * 17 + [[0, 1]] * 4, 2)
    raw, wilson = agreement.raw_agreement(ratings), agreement.proportion(17, 21)
    assert [raw.value, raw.low, raw.high] == pytest.approx([wilson.value, wilson.low, wilson.high])


def test_confidence_weighted_agreement() -> None:
    rows = [
        ("p1", "x", "a"),
        ("p1", "y", "a"),
        ("p1", "z", "b"),
        ("p2", "x", "a"),
        ("p2", "y", "b"),
        ("p3", "x", "a"),
    ]
    ratings = Ratings.from_rows(rows, confidence=[5, 4, 1, 2, 3, 5])
    agreeing, total = 5 * 4 / 3, (5 * 4 + 5 * 1 + 4 * 1) / 3 + 2 * 3
    figure = agreement.confidence_weighted_agreement(ratings)
    assert figure.value == pytest.approx(agreeing / total)
    assert figure.n == 2
    equal = replace(ratings, confidence=np.full(6, 3.0))
    raw = agreement.raw_agreement(ratings)
    assert agreement.confidence_weighted_agreement(equal).value == pytest.approx(raw.value)


def test_only_the_first_judgement_counts_and_repeats_give_self_consistency() -> None:
    rows = [
        ("p1", "x", "a"),
        ("p1", "y", "a"),
        ("p2", "x", "b"),
        ("p2", "y", "a"),
        ("p1", "x", "b"),
        ("p2", "y", "a"),
    ]
    ratings, first = Ratings.from_rows(rows), Ratings.from_rows(rows[:4])
    with_repeats, without = agreement.agreement_report(ratings), agreement.agreement_report(first)
    consistency = with_repeats.pop("self_consistency")
    assert (consistency.value, consistency.n) == (0.5, 2)
    assert without.pop("self_consistency").reason == "No annotator has judged the same pair twice."
    assert with_repeats == without


def test_reasons_say_what_is_missing() -> None:
    nothing = agreement.agreement_report(Ratings.from_rows([], ("a", "b")))
    assert all(figure.value is None and figure.reason for figure in nothing.values())
    alone = agreement.agreement_report(table([[0], [1]], 2))
    apart = agreement.agreement_report(table(NO_OVERLAP, 2))
    for name in ("raw_agreement", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha", "gwet_ac1"):
        assert alone[name].reason == apart[name].reason == "No pair has two annotators."
    unanimous = agreement.agreement_report(table([[0, 0]] * 12, 2))
    assert unanimous["fleiss_kappa"].reason == "Everybody chose “0”, so agreement by chance is 1."
    assert "Everybody who shares a pair chose “0”" in (unanimous["krippendorff_alpha"].reason or "")
    assert "one and the same category" in (unanimous["cohen_kappa"].reason or "")
    assert unanimous["gwet_ac1"].value == unanimous["raw_agreement"].value == 1
    few = agreement.cohen_kappa(table([[0, 1]] * 4, 2))
    assert few.reason == "No two annotators share 10 pairs yet; the most any two share is 4."
    one = agreement.gwet_ac1(table([[0, 1], [0, None]], 2))
    assert one.value is not None and one.low is None and "Only one pair" in (one.reason or "")
    level = agreement.krippendorff_alpha(table([[0, 1], [0, 0]], 2), np.zeros((2, 2)))
    assert level.reason == "The distances between the categories used are all nil."
    assert "Only one category" in (agreement.gwet_ac1(table([[0, 0]])).reason or "")


def test_perfect_agreement_still_has_an_honest_interval() -> None:
    report = agreement.agreement_report(table([[0, 0], [1, 1]] * 10, 2))
    floor = agreement.proportion(20, 20).low
    assert floor is not None
    for name in ("cohen_kappa", "fleiss_kappa"):
        assert (report[name].value, report[name].high) == (1, 1)
        assert report[name].low == pytest.approx(1 - (1 - floor) / 0.5)
    assert report["raw_agreement"].low == pytest.approx(floor)


def test_report_names_targets_and_ordinal_strength() -> None:
    ratings = table([[0, 0, 1], [1, 1, 1], [0, 1, None]], 2)
    report = agreement.agreement_report(ratings, ordinal=table([[0, 1, 4], [4, 4, 3]], 5))
    assert {name: figure.target for name, figure in report.items()} == {
        "raw_agreement": 0.85,
        "cohen_kappa": 0.60,
        "fleiss_kappa": 0.60,
        "krippendorff_alpha": 0.80,
        "gwet_ac1": 0.60,
        "confidence_weighted_agreement": 0.85,
        "self_consistency": 0.90,
        "krippendorff_alpha_ordinal": 0.80,
    }
    assert report["krippendorff_alpha_ordinal"].value is not None


judgements = st.lists(
    st.tuples(st.integers(0, 6).map(str), st.integers(0, 4).map(str), st.sampled_from(["a", "b", "tie"])),
    max_size=40,
)


@given(judgements, st.data())
def test_any_table_gives_a_value_in_its_interval_or_a_reason(
    rows: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    confidence = data.draw(st.lists(st.none() | st.integers(1, 5), min_size=len(rows), max_size=len(rows)))
    ratings = Ratings.from_rows(rows, ("a", "b", "tie"), confidence)
    report = agreement.agreement_report(ratings, ordinal=ratings)
    report["cohen_kappa_of_few"] = agreement.cohen_kappa(ratings, min_shared=1)
    for name, figure in report.items():
        if figure.value is None:
            assert figure.reason and figure.low is None and figure.high is None
            continue
        assert math.isfinite(figure.value)
        if figure.low is None or figure.high is None:
            assert figure.reason
            continue
        shares = name in ("raw_agreement", "confidence_weighted_agreement", "self_consistency")
        assert (
            min(figure.value, 0 if shares else -1) <= figure.low <= figure.value <= figure.high <= 1 + 1e-12
        )


@given(judgements, st.randoms())
def test_names_and_order_of_units_and_annotators_do_not_matter(
    rows: list[tuple[str, str, str]], random: Any
) -> None:
    once = list({(u, r): (u, r, c) for u, r, c in rows}.values())
    renamed = [(f"{9 - int(u)}", f"{9 - int(r)}", c) for u, r, c in once]
    random.shuffle(renamed)
    before, after = (
        agreement.agreement_report(Ratings.from_rows(part, ("a", "b", "tie"))) for part in (once, renamed)
    )
    for name, figure in before.items():
        assert figure.value == pytest.approx(after[name].value, abs=1e-9)
        assert figure.low == pytest.approx(after[name].low, abs=1e-6)


def simulated(rng: np.random.Generator, units: int) -> Ratings:
    """Five annotators, each judging a pair with probability 0.6, right three times in four."""
    truth = rng.choice(3, units, p=[0.5, 0.35, 0.15])
    unit, rater = (x.astype(np.int64) for x in np.nonzero(rng.random((units, 5)) < 0.6))
    category = np.where(
        rng.random(len(unit)) < 0.75, truth[unit], rng.choice(3, len(unit), p=[0.4, 0.4, 0.2])
    )
    confidence = rng.integers(1, 6, len(unit)).astype(float)
    return Ratings(unit, rater, category, confidence, range(units), range(5), ("a", "b", "tie"))  # type: ignore[arg-type]


def test_intervals_cover_the_truth() -> None:
    rng = np.random.default_rng(20)
    truth = agreement.agreement_report(simulated(rng, 200_000), ordinal=simulated(rng, 200_000))
    hits = dict.fromkeys(truth, 0)
    trials = 300
    for _ in range(trials):
        sample = simulated(rng, 120)
        report = agreement.agreement_report(sample, ordinal=sample)
        for name, figure in report.items():
            if name != "self_consistency":
                hits[name] += figure.low <= truth[name].value <= figure.high  # type: ignore[operator]
    del hits["self_consistency"]
    assert all(0.91 <= hit / trials <= 0.985 for hit in hits.values()), hits


def test_ordinal_interval_agrees_with_the_bootstrap() -> None:
    rng = np.random.default_rng(3)
    sample = simulated(rng, 150)
    counts = agreement.unit_counts(sample).astype(int)
    draws = [
        krippendorff.alpha(
            value_counts=counts[rng.integers(0, 150, 150)],
            level_of_measurement="ordinal",
            value_domain=[0, 1, 2],
        )
        for _ in range(800)
    ]
    figure = agreement.krippendorff_alpha(sample, "ordinal")
    assert figure.low is not None and figure.high is not None
    assert (figure.high - figure.low) / 2 / 1.976 == pytest.approx(np.std(draws), rel=0.1)


def test_a_million_annotations_are_quick() -> None:
    """A guard against Python loops over units, far above what it takes (0.7 s); benchmarks measure properly."""
    rng = np.random.default_rng(0)
    n, units, raters = 1_000_000, 300_000, 4000
    unit, rater, category = (rng.integers(0, size, n) for size in (units, raters, 4))
    ratings = Ratings(
        unit, rater, category, np.full(n, 3.0), range(units), range(raters), ("a", "b", "tie", "both_bad")
    )  # type: ignore[arg-type]
    start = process_time()
    report = agreement.agreement_report(ratings)
    assert process_time() - start < 5
    assert report["raw_agreement"].value == pytest.approx(0.25, abs=0.005)


def read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in gzip.decompress(path.read_bytes()).decode().split("\n") if line]


def test_real_annotations_equal_the_reference_library(shared_data: Path) -> None:
    """UKPConvArg1. The corpus gives 0.267 with ties, 0.435 on decisive ones and 0.524 mean agreement over all 32 topics;
    the shared part holds 26 of them."""
    judged = read_lines(shared_data / "ukp_convarg1" / "annotations.jsonl.gz")
    rows = [(j["pair_id"], j["annotator"], j["choice"]) for j in judged]
    for part, published in ((rows, 0.267), ([row for row in rows if row[2] != "tie"], 0.435)):
        ratings = Ratings.from_rows(part)
        report = agreement.agreement_report(ratings)
        counts = agreement.unit_counts(ratings)
        reference = krippendorff.alpha(value_counts=counts.astype(int), level_of_measurement="nominal")
        alpha = report["krippendorff_alpha"]
        assert alpha.value == pytest.approx(reference)
        assert alpha.value == pytest.approx(published, abs=0.02)
        assert isinstance(report["cohen_kappa"], Estimate)
    raw = agreement.raw_agreement(Ratings.from_rows(rows))
    assert raw.value == pytest.approx(0.524, abs=0.02)
