"""What the Drift page rests on, read from the store; a module, so that ``read`` can remember its results."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from core.drift_figures import Points
from core.estimate import Estimate
from core.ratings import FloatArray, IntArray
from core.report_drift import called
from core.report_drift_votes import KINDS as FIGURES
from core.two_samples import BoolArray
from storage import drift
from storage.store import Store
from storage.tables import DriftRow

MANY = 12
"""Clusters named on the map at most."""
KINDS = {"share": "Share"} | {kind: name for kind, (name, *_) in FIGURES.items()}
"""The figures of a cluster, and what to call them."""


@dataclass(frozen=True, eq=False)
class Mapped:
    """The texts of a run on its map, every array of shape (n,), ``point`` (n, 2)."""

    id: npt.NDArray[np.object_]
    pair_id: npt.NDArray[np.object_]
    after: BoolArray
    point: Points
    cluster: IntArray
    seen_at: npt.NDArray[np.datetime64]
    error: FloatArray
    gap: FloatArray
    flip: FloatArray


@dataclass(frozen=True)
class Cluster:
    """A cluster as it is told: what it is called, and its figures (``core.drift.Figure`` as JSON has it) by name."""

    cluster: int
    name: str
    n: int
    figures: dict[str, dict[str, Any]]

    def estimate(self, kind: str, part: str = "whole") -> Estimate:
        return Estimate(**self.figures[kind][part])

    def adjusted(self, kind: str, test: str) -> float | None:
        """The adjusted p-value of a test, None where there is none."""
        found = self.figures[kind][test]
        return found["adjusted"] if found else None

    @property
    def grew(self) -> bool:
        before, after = (self.estimate("share", part).value or 0.0 for part in ("before", "after"))
        return after > before


@lru_cache(maxsize=4)  # a run stays as it is, whatever else the store takes in
def mapped(store: Store, drift_id: str) -> Mapped:
    """The texts of a run, in the order of their ids."""
    table = drift.points(store, drift_id)

    def column(name: str) -> Any:
        return table[name].to_numpy()

    return Mapped(
        id=column("id"),
        pair_id=column("pair_id"),
        after=np.array(table["after"].to_pylist(), dtype=bool),
        point=np.column_stack([column("x"), column("y")]).astype(np.float32),
        cluster=column("cluster").astype(np.int64),
        seen_at=column("seen_at").astype("datetime64[us]"),
        **{name: column(name).astype(np.float64) for name in ("error", "gap", "flip")},
    )


def clusters(run: DriftRow) -> list[Cluster]:
    """The clusters of a run, the one with the best evidence that its share changed first."""
    return [
        Cluster(one["cluster"], called(one), one["n"], {kind: one[kind] for kind in KINDS})
        for one in run.figures["clusters"]
    ]


def ranked(found: list[Cluster], kind: str) -> list[Cluster]:
    """The clusters by the evidence on a figure: that its share changed, or that it differs from elsewhere."""
    test = "change" if kind == "share" else "apart"

    def by(one: Cluster) -> tuple[float, float]:
        p, value = one.adjusted(kind, test), one.estimate(kind).value
        return 2.0 if p is None else p, -abs(value or 0.0)

    return sorted(found, key=by)
