"""Judgements for the tests of bias and annotators: from simulated annotators, or row by row."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from core.judgements import Judgements
from core.records import CHOICES
from core.simulation import SimulatedAnnotator, simulate_columns
from core.surface import COUNTED

START = np.datetime64("2026-01-05T09:00:00", "us")


def simulated(
    panel: Sequence[SimulatedAnnotator],
    gap: np.ndarray,
    lengths: np.ndarray,
    *,
    seed: int,
    per_pair: int = 3,
    pairs_a_prompt: int = 2,
) -> Judgements:
    """What a panel says of pairs with these gaps (NaN: drawn) and lengths, shape (n_pairs, 2); a minute lies between judgements."""
    drawn = simulate_columns(panel, gap, lengths[:, 0], lengths[:, 1], seed=seed, per_item=per_pair)
    order = np.random.default_rng(seed).permutation(len(drawn.item))
    marks = np.zeros((len(gap), 2, len(COUNTED)))
    marks[:, :, 0] = lengths
    names = [one.name for one in panel]
    return Judgements(
        drawn.item[order],
        drawn.annotator[order],
        drawn.choice[order],
        np.where(drawn.left_a, 1, -1)[order],
        drawn.seconds[order],
        START + np.arange(len(order)) * np.timedelta64(1, "m"),
        [f"x{i}" for i in range(len(gap))],
        np.arange(len(gap)) // pairs_a_prompt,
        np.full(len(gap), -1),
        marks,
        names,
        names,
        ["simulated"] * len(names),
    )


def judgements(*rows: Sequence[Any], marks: Any = None, gold: dict[str, str] | None = None) -> Judgements:
    """Rows (pair, annotator, choice, side, seconds), the last two where known; each pair is of a prompt of its own.

    ``marks``: counts of (a, b) by pair and name of what is counted.
    """
    full = [(*row, *(0, np.nan)[len(row) - 3 :]) for row in rows]
    pairs, annotators = sorted({row[0] for row in full}), sorted({row[1] for row in full})
    counts = np.full((len(pairs), 2, len(COUNTED)), 0.0)
    counts[:, :, 0] = 100
    for pair, named in (marks or {}).items():
        for name, both in named.items():
            counts[pairs.index(pair), :, COUNTED.index(name)] = both
    known = gold or {}
    return Judgements(
        np.array([pairs.index(row[0]) for row in full], dtype=np.int64),
        np.array([annotators.index(row[1]) for row in full], dtype=np.int64),
        np.array([CHOICES.index(row[2]) for row in full], dtype=np.int64),
        np.array([row[3] for row in full], dtype=np.int64),
        np.array([row[4] for row in full], dtype=np.float64),
        START + np.arange(len(full)) * np.timedelta64(1, "m"),
        pairs,
        np.arange(len(pairs)),
        np.array([CHOICES.index(known[p]) if p in known else -1 for p in pairs], dtype=np.int64),
        counts,
        annotators,
        annotators,
        ["person"] * len(annotators),
    )
