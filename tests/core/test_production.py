"""Production figures, against numpy, the binomial distribution and values worked out by hand."""

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from core.comparing import quality
from core.held_out import HeldOut
from core.production import ACCURACY, FEW, GAMMA, Period, Production, bucket, latency, production

DAY = datetime(2026, 3, 2, tzinfo=UTC)


def counted(seconds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.unique([bucket(s) for s in seconds], return_counts=True)


@pytest.mark.parametrize("q", [0.5, 0.95])
@pytest.mark.parametrize("n", [1, 7, 100, 20_000])
def test_a_quantile_is_within_five_percent_of_that_of_the_latencies(q: float, n: int) -> None:
    seconds = np.random.default_rng(n).lognormal(-3, 1.5, n)
    exact = 1000 * np.quantile(seconds, q, method="inverted_cdf")
    assert latency(*counted(seconds), q).value == pytest.approx(exact, rel=ACCURACY)


def test_a_bucket_holds_the_milliseconds_between_its_edges() -> None:
    assert (bucket(0.001), bucket(0.0011), bucket(0.00111), bucket(0.0005)) == (0, 1, 2, -6)
    for i in (-20, 3, 80):
        assert bucket(GAMMA**i / 1000 * 0.9999) == i and bucket(GAMMA**i / 1000 * 1.0001) == i + 1
    assert bucket(0.0) < -60, "a clock may stand still"


def test_the_interval_of_a_quantile_is_that_of_order_statistics() -> None:
    """Of 100 the 40th and the 61st hold the median 96.5 times in 100; each latency here has a bucket of its own."""
    buckets = np.arange(100)
    half = latency(buckets, np.ones(100, dtype=np.int64), 0.5)
    assert (half.low, half.high, half.n) == (pytest.approx(GAMMA**38), pytest.approx(GAMMA**60), 100)
    assert binom.cdf(60, 100, 0.5) - binom.cdf(39, 100, 0.5) >= 0.95
    for q, few in ((0.5, 5), (0.95, 71)):
        for n, interval in ((few, False), (few + 1, True)):
            found = latency(np.arange(n), np.ones(n, dtype=np.int64), q)
            assert found.value is not None and (found.low is not None) == interval
            assert interval or found.reason == "Too few requests for an interval."


def test_the_interval_covers_the_quantile_it_is_about() -> None:
    rng = np.random.default_rng(0)
    truth = 1000 * np.exp(-3 + 1.5 * 1.6448536)
    runs = [latency(*counted(rng.lognormal(-3, 1.5, 300)), 0.95) for _ in range(400)]
    covered = sum(run.low <= truth <= run.high for run in runs)  # type: ignore[operator]
    assert covered >= 0.93 * 400


def counts(*rows: tuple[datetime, str, bool, int, int, int]) -> pa.Table:
    names = ("at", "route", "failed", "bucket", "requests", "texts")
    types = (pa.timestamp("us", "UTC"), pa.string(), pa.bool_(), pa.int32(), pa.int64(), pa.int64())
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table({n: pa.array(c, t) for n, c, t in zip(names, columns, types, strict=True)})


def voted(days: list[int], right: list[bool]) -> HeldOut:
    """Pairs of a prompt each, of which the model is 80% sure of a; people agree with it where it is ``right``."""
    n = len(days)
    names = np.array([str(i) for i in range(n)], dtype=object)
    at = np.datetime64("2026-03-02") + np.array(days, dtype="timedelta64[D]")
    y = np.array(right, dtype=np.float64)
    return HeldOut(names, np.full(n, 1.4), np.full(n, 0.8), y, names, names, at.astype("datetime64[us]"))


def of(table: pa.Table, found: HeldOut) -> Production:
    accuracy = {"value": 0.9, "low": 0.8, "high": 0.95, "n": 60, "target": None, "reason": None}
    return production([Period(DAY, None)], table, found, {"accuracy": accuracy}, "day")


def test_requests_are_added_up_as_a_whole_by_route_and_by_window() -> None:
    later = DAY.replace(day=4, hour=23)
    table = counts(
        (DAY, "score", False, 10, 3, 30), (DAY, "rerank", False, 40, 1, 8), (DAY, "score", True, 90, 1, 2),
        (later, "score", False, 10, 5, 5),
    )  # fmt: skip
    found = of(table, voted([], []))
    whole = found.service
    assert (whole.requests, whole.texts) == (10, 45)
    assert whole.error_rate.value == 0.1 and whole.error_rate.low == pytest.approx(0.0179, abs=1e-4)
    middle = 2 * GAMMA**10 / (GAMMA + 1)
    assert whole.p50.value == pytest.approx(middle) and whole.p50.n == 9, "what failed has no latency"
    assert whole.p95.value == pytest.approx(2 * GAMMA**40 / (GAMMA + 1))
    assert {route: (one.requests, one.texts) for route, one in found.routes.items()} == {"score": (9, 37), "rerank": (1, 8)}  # fmt: skip
    assert [(w.start, w.service.requests, w.service.error_rate.value) for w in found.windows] == [
        (DAY, 5, 0.2),
        (DAY.replace(day=4), 5, 0.0),
    ]
    assert found.windows[1].service.p50.value == pytest.approx(middle)


def test_quality_is_that_of_the_core_on_the_pairs_of_each_window() -> None:
    days = [0] * FEW + [1] * FEW + [2]
    found = voted(days, [True] * 25 + [False] * (FEW - 5) + [True])
    made = of(counts((DAY.replace(day=4), "page", False, 1, 1, 1)), found)
    assert made.pairs == 2 * FEW + 1 and made.quality == quality(found.as_stored())
    first, second, third = made.windows
    assert (first.quality.accuracy.value, second.quality.accuracy.value) == (1.0, 0.25)
    assert first.quality.log_loss.value == pytest.approx(-np.log(0.8))
    assert third.quality.accuracy.value is None and third.quality.accuracy.n == 1
    assert f"Fewer than {FEW} pairs" in str(third.quality.ece.reason)
    assert (first.service.requests, third.service.requests) == (0, 1)
    assert made.held_out.accuracy.value == 0.9 and "did not measure" in str(made.held_out.ece.reason)


def test_where_nothing_is_known_it_says_why() -> None:
    made = of(counts(), voted([], []))
    assert made.windows == [] and made.routes == {} and made.pairs == made.service.requests == 0
    told = [made.quality.accuracy, made.service.error_rate, made.service.p50, made.satisfaction, made.cost]
    assert all(one.value is None and one.reason for one in told)
