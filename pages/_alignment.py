"""What the Alignment page rests on, computed from the store; a module, so that ``read`` can remember its results."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from core.alignment import Aligned, change, parts
from core.estimate import Estimate
from core.held_out import ALL, FEW, MOST, Unit, windows
from pages._held_out import held_out
from pages._predicted import policy
from pages._session import read
from storage import learning, models
from storage.store import Store

Along = Literal["time", "category", "version"]
CHANGES = ("accuracy", "with_people")
"""The figures whose change in the last window is told."""


@dataclass(frozen=True, eq=False)
class Parted:
    """The parts that are large enough, by name, with the figures of each; ``left_out`` pairs are in none of them.

    ``change``: the figures of the last part less those of all before it, where the parts are windows of time.
    """

    parts: dict[str, Aligned]
    figures: dict[str, dict[str, Estimate]]
    left_out: int
    change: dict[str, Estimate]


def aligned(store: Store, model_id: str, campaign_id: str | None, category: str | None) -> Aligned:
    """The pairs that a model was not fitted to, of a campaign and category, with the votes on them."""
    found = read(held_out, model_id, ALL, campaign_id)
    if category is not None:
        found = found.take(found.category == category)
    table = read(learning.tallies, read(policy, model_id))
    rows = pc.index_in(pa.array(found.pair_id, pa.string()), table["pair_id"].combine_chunks())
    columns = [table[name].take(rows).fill_null(0).to_numpy() for name in ("a", "b", "tie")]
    return Aligned(found, np.column_stack(columns).astype(np.int64))


def figures(
    store: Store, model_id: str, campaign_id: str | None, category: str | None
) -> dict[str, Estimate]:
    """The figures over all of these pairs."""
    return read(aligned, model_id, campaign_id, category).figures()


def parted(
    store: Store,
    model_id: str,
    campaign_id: str | None,
    category: str | None,
    along: Along,
    width: Unit | None,
) -> Parted:
    """The figures along time, categories, or the versions of the model's name (each on its own held-out pairs)."""
    whole = read(aligned, model_id, campaign_id, category)
    changes: dict[str, Estimate] = {}
    if along == "version":
        name = read(models.get, model_id).name
        found = {
            m.version: read(aligned, m.id, campaign_id, category) for m in reversed(read(models.listed, name))
        }
        large = {version: part for version, part in found.items() if len(part) >= FEW}
        left_out = sum(len(part) for part in found.values()) - sum(map(len, large.values()))
    elif along == "category":
        names, place, sizes = np.unique(
            whole.pairs.category.astype(str), return_inverse=True, return_counts=True
        )
        order = np.argsort(-sizes, kind="stable")[:MOST]
        code = np.full(len(names), -1)
        code[order] = np.arange(len(order))
        large, left_out = parts(whole, code[place], names[order].tolist(), FEW)
    else:
        days, place = windows(whole.pairs.at, width)
        large, left_out = parts(whole, place, [str(day) for day in days], FEW)
        if len(large) > 1:
            dated, last = np.flatnonzero(place >= 0), [str(day) for day in days].index(list(large)[-1])
            late = np.flatnonzero(place[dated] == last)
            changes = {name: change(whole.take(dated), late, name) for name in CHANGES}
    return Parted(large, {name: part.figures() for name, part in large.items()}, left_out, changes)
