"""A model in production: how many requests it had, how fast and how often it answered, and how good it was on votes cast since.

Latencies are counted in buckets whose edges grow by GAMMA, so a quantile read from the counts is within ACCURACY of the one of
the latencies themselves, and counts of any minutes can be added up (DDSketch: Masson, Rim & Lee 2019, PVLDB 12, 2195-2205).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import scipy

from core.agreement import proportion
from core.comparing import Quality, quality
from core.estimate import Estimate
from core.held_out import HeldOut, Unit, windows
from core.ratings import IntArray

Route = Literal["score", "rerank", "predict", "page"]
ROUTES: tuple[Route, ...] = get_args(Route)
"""How a model is asked: a route of the API, or the Predict page."""
ACCURACY = 0.05
GAMMA = (1 + ACCURACY) / (1 - ACCURACY)
FEW = 20
"""Pairs in a window below which its quality is not told."""

NO_VOTES = "No pair that the model had not seen, and has predicted, has a vote cast since it was deployed."
NO_FEEDBACK = "Satisfaction cannot be computed, because no feedback on answers is recorded yet."
NO_PRICE = "Cost cannot be computed, because no price of a request is recorded yet."


@dataclass(frozen=True, slots=True)
class Period:
    """A deployment; ``until`` is None while it lasts."""

    since: datetime
    until: datetime | None


@dataclass(frozen=True, slots=True)
class Service:
    """``requests`` about so many ``texts`` (answers); ``error_rate`` is the share of requests that were not answered. ``p50`` and
    ``p95`` are the latency of those that were, in milliseconds."""

    requests: int
    texts: int
    error_rate: Estimate
    p50: Estimate
    p95: Estimate

    @classmethod
    def of(cls, counts: pa.Table) -> "Service":
        """What counts with the columns ``failed``, ``bucket``, ``requests`` and ``texts`` add up to."""
        failed, bucket, n = (counts[name].to_numpy() for name in ("failed", "bucket", "requests"))
        answered = bucket[~failed], n[~failed]
        return cls(
            int(n.sum()),
            int(counts["texts"].to_numpy().sum()),
            proportion(int(n[failed].sum()), int(n.sum())),
            latency(*answered, 0.5),
            latency(*answered, 0.95),
        )


@dataclass(frozen=True, slots=True)
class Window:
    """A calendar window, by its beginning (UTC)."""

    start: datetime
    service: Service
    quality: Quality


@dataclass(frozen=True, slots=True)
class Production:
    """A model in production. ``held_out``: the figures it was deployed with; ``quality``: the same figures on the ``pairs`` it had not
    seen, by the votes cast since it was first deployed."""

    deployments: list[Period]
    service: Service
    routes: dict[Route, Service]
    held_out: Quality
    quality: Quality
    pairs: int
    windows: list[Window]
    satisfaction: Estimate
    cost: Estimate


def production(
    deployments: Sequence[Period],
    counts: pa.Table,
    found: HeldOut,
    figures: Mapping[str, Any],
    unit: Unit | None = None,
) -> Production:
    """Put together what is known of a model.

    ``counts``: as ``Service.of`` takes them, with ``at`` (a time, in order) and ``route``. ``found``: the pairs it had not seen, with the votes
    cast since it was deployed. ``figures``: what its training measured. ``unit``: as ``core.held_out.windows`` takes it.
    """
    asked = counts["at"].cast(pa.timestamp("us", "UTC")).to_numpy().astype("datetime64[us]")
    starts, place = windows(np.concatenate([asked, found.at]), unit)
    of_service, of_pairs = np.split(place, [len(asked)])
    ends = np.searchsorted(of_service, np.arange(len(starts) + 1))
    return Production(
        list(deployments),
        Service.of(counts),
        {
            route: Service.of(part)
            for route in ROUTES
            if len(part := counts.filter(pc.equal(counts["route"], route)))
        },
        Quality(*(_measured(figures, name) for name in Quality.__slots__)),
        _quality(found, 1, NO_VOTES),
        len(found),
        [
            Window(
                start.astype("datetime64[us]").item().replace(tzinfo=UTC),
                Service.of(counts.slice(ends[i], ends[i + 1] - ends[i])),
                _quality(found.take(of_pairs == i), FEW, f"Fewer than {FEW} pairs have votes here."),
            )
            for i, start in enumerate(starts)
        ],
        Estimate.unavailable(NO_FEEDBACK),
        Estimate.unavailable(NO_PRICE),
    )


def bucket(seconds: float) -> int:
    """The bucket of a latency: bucket i holds the milliseconds above GAMMA ** (i - 1) and up to GAMMA ** i."""
    return math.ceil(math.log(max(1000 * seconds, 1e-3), GAMMA))


def latency(buckets: IntArray, requests: IntArray, q: float) -> Estimate:
    """The quantile ``q`` (by nearest rank) of latencies counted in buckets, in milliseconds; ``buckets``, ``requests``: shape (n,).

    The interval is that of order statistics, which asks nothing of the distribution but takes requests for independent (Conover
    1999, Practical Nonparametric Statistics, 3.2), widened to the edges of the buckets. ``n`` counts the requests.
    """
    order = np.argsort(buckets)
    up_to = np.cumsum(requests[order])
    n = int(up_to[-1]) if len(up_to) else 0
    if not n:
        return Estimate.unavailable("The model has answered no request here.")

    def at(rank: float) -> int:
        return int(buckets[order][np.searchsorted(up_to, rank)])

    value = 2 * GAMMA ** at(math.ceil(round(q * n, 9))) / (GAMMA + 1)
    low, high = scipy.stats.binom.ppf((0.025, 0.975), n, q)
    if low < 1 or high >= n:
        return Estimate(value, None, None, n, reason="Too few requests for an interval.")
    return Estimate(value, GAMMA ** (at(low) - 1), GAMMA ** at(high + 1), n)


def _quality(found: HeldOut, least: int, why: str) -> Quality:
    if len(found) >= least:
        return quality(found.as_stored())
    return Quality(*[Estimate.unavailable(why, len(found))] * 3)


def _measured(figures: Mapping[str, Any], name: str) -> Estimate:
    return (
        Estimate(**figures[name])
        if name in figures
        else Estimate.unavailable("Its training did not measure it.")
    )
