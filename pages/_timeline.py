"""What the Timeline page rests on, computed from the store; a module, so that ``read`` can remember its results."""

import pyarrow as pa

from core.held_out import Unit
from core.timeline import Measure, Split, Timeline, timeline
from pages._scope import Scope
from pages._session import read
from storage.judgements import listed
from storage.store import Store


def judgements(store: Store, scope: Scope) -> pa.Table:
    """Every judgement, oldest first."""
    return listed(store, campaign_id=scope.campaign_id, category=scope.category, kinds=scope.kinds)


def models(store: Store, scope: Scope) -> list[str]:
    """The models whose answers were judged."""
    table = read(judgements, scope)
    sides = (table[name].combine_chunks().dictionary.to_pylist() for name in ("model_a", "model_b"))
    return sorted({name for side in sides for name in side})


def over_time(
    store: Store, scope: Scope, measure: Measure, split: Split, unit: Unit | None, model: str | None
) -> Timeline:
    return timeline(read(judgements, scope), measure, split, unit, model)
