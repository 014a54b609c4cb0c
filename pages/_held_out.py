"""What models said of pairs they had not seen, computed from the store; a module, so that ``read`` can remember its results."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow.compute as pc

from core.calibration import Predictions, Report, RiskCoverage, report, risk_coverage
from core.calibrators import Method, fit
from core.comparing import Comparison, accuracy, by_category, compare
from core.estimate import Estimate
from core.held_out import ALL, BINS, FEW, MOST, HeldOut, shared, unseen, windows
from core.ratings import FloatArray
from pages._session import read
from storage import models
from storage.models import SPLITS
from storage.store import Store

UNCALIBRATED = "Uncalibrated"
OTHERS: dict[Method, str] = {"temperature": "Temperature", "isotonic": "Isotonic"}
"""The calibrators that differ for a symmetric predictor."""
ENOUGH = 100
"""Held-out pairs below which a diagram says little."""
DRAWS = 200
"""Bootstrap draws for the intervals of each category or window; of all pairs it is five times as many."""


def held_out(store: Store, model_id: str, which: str = ALL, campaign_id: str | None = None) -> HeldOut:
    """The pairs a model was not fitted to (``core.held_out.unseen``); with ``campaign_id`` those last annotated there."""
    return HeldOut.of(unseen(read(models.predictions, model_id, SPLITS), which, campaign_id))


class Ground(NamedTuple):
    """The pairs that figures rest on, as ``held_out`` takes them: of a model, which of those it had not seen, of which campaign."""

    model_id: str
    which: str = ALL
    campaign_id: str | None = None


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A model's held-out pairs, and their probabilities by the name of each calibrator, ``kept`` the one in use.

    ``refused``: why a calibrator could not be fitted, by its name.
    """

    pairs: HeldOut
    lines: Mapping[str, FloatArray]
    kept: str
    refused: Mapping[str, str]

    def predictions(self, name: str) -> Predictions:
        return self.pairs.towards(self.lines[name])


def calibrated(store: Store, ground: Ground) -> Calibrated:
    """What was predicted, before calibration, after the calibrator that was kept, and after the others.

    The others are fitted here to the pairs of the model's calibration split, whatever their campaign, each counting once.
    """
    pairs = read(held_out, *ground)
    name = read(models.get, ground.model_id).figures.get("calibrator", {}).get("name", "identity")
    kept = f"{OTHERS.get(name, name.capitalize())} (kept)" if name != "identity" else f"{UNCALIBRATED} (kept)"
    lines = {kept if name == "identity" else UNCALIBRATED: pairs.uncalibrated}
    refused = {}
    table = read(models.predictions, ground.model_id, SPLITS)
    trained = pc.any(pc.equal(table["split"], "train")).as_py()
    fitted_on = HeldOut.of(table.filter(pc.equal(table["split"], "calibration")))
    for method, label in OTHERS.items() if trained else ():
        if method == name:
            continue
        try:
            calibrator = fit(method, fitted_on.uncalibrated, fitted_on.y, symmetric=True)
        except ValueError as error:
            refused[label] = str(error)
        else:
            lines[label] = calibrator(pairs.uncalibrated)
    return Calibrated(pairs, {**lines, kept: pairs.p}, kept, refused)


def reported(store: Store, ground: Ground, name: str) -> tuple[Report, Estimate]:
    """Every calibration figure, and the accuracy, of one calibrator on the held-out pairs."""
    predictions = read(calibrated, ground).predictions(name)
    return report(predictions, BINS), accuracy(predictions)


def risk(store: Store, ground: Ground, name: str) -> RiskCoverage:
    """Risk against coverage of one calibrator on the held-out pairs."""
    return risk_coverage(read(calibrated, ground).predictions(name))


def in_categories(store: Store, ground: Ground, name: str) -> tuple[dict[str, Report], int]:
    """A report of one calibrator for each category of FEW pairs or more, and how many pairs are in the others."""
    found = read(calibrated, ground)
    kinds, place = np.unique(found.pairs.category.astype(str), return_inverse=True)
    return _parts(found.predictions(name), [str(kind) for kind in kinds], place)


def in_windows(store: Store, ground: Ground, name: str) -> tuple[dict[str, Report], int]:
    """The same for windows of the pairs' latest annotation, by their first day."""
    found = read(calibrated, ground)
    starts, place = windows(found.pairs.at)
    return _parts(found.predictions(name), [str(day) for day in starts], place)


def _parts(predictions: Predictions, names: list[str], place: np.ndarray) -> tuple[dict[str, Report], int]:
    sizes = np.bincount(place[place >= 0], minlength=len(names))
    large = sorted(i for i in np.argsort(-sizes)[:MOST] if sizes[i] >= FEW)
    reports = {names[i]: report(predictions.take(place == i), BINS, DRAWS) for i in large}
    return reports, len(place) - int(sizes[large].sum())


@dataclass(frozen=True, eq=False)
class Match:
    """Two models on the pairs neither has seen: the pairs with what each said, the comparison, and that by category.

    ``held_out``: how many labelled pairs each has that it was not fitted to. ``both``: how many they have in common, before
    those of prompts that either has seen are left out.
    """

    first: HeldOut
    second: HeldOut
    whole: Comparison | None
    categories: dict[str, Comparison]
    held_out: tuple[int, int]
    both: int


def match(store: Store, first_id: str, second_id: str) -> Match:
    """Hold the second model against the first."""
    sides = read(held_out, first_id), read(held_out, second_id)
    seen = read(models.seen_prompts, first_id) | read(models.seen_prompts, second_id)
    first, second = shared(*sides, seen)
    whole, categories = None, {}
    if len(first):
        before, after = first.as_stored(), second.as_stored()
        whole = compare(before, after)
        categories = by_category(before, after, second.category.astype(str).tolist())
    both = len(set(sides[0].pair_id) & set(sides[1].pair_id))
    return Match(first, second, whole, categories, (len(sides[0]), len(sides[1])), both)
