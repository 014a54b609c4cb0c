"""What the Model ranking page rests on, computed from the store; a module, so that ``read`` can remember its results."""

from typing import Any, NamedTuple

import pandas as pd

from core.estimate import Estimate
from core.preferences import Ties
from core.ranking import Comparisons, Over, Ranking, head_to_head, rank
from core.ranking_figures import SHOWN
from pages._session import read
from storage.judgements import listed, style_differences
from storage.store import Store


class Scope(NamedTuple):
    """Which annotations count, and how: ``kinds`` of annotator (() is all), ``apart``: temperatures make models different."""

    campaign_id: str | None
    category: str | None
    kinds: tuple[str, ...]
    ties: Ties
    apart: bool


def compared(store: Store, scope: Scope) -> Comparisons:
    """The comparisons, with the style of their answers."""
    table = listed(
        store,
        campaign_id=scope.campaign_id,
        category=scope.category,
        kinds=scope.kinds,
        settings=scope.apart,
    )
    found = Comparisons.of(table, scope.ties)
    return found.with_style(style_differences(store, found.pair))


def ranked(store: Store, scope: Scope, control: bool, over: Over) -> Ranking:
    return rank(read(compared, scope), control, over)


def against(store: Store, scope: Scope) -> tuple[list[str], dict[tuple[str, str], Estimate]]:
    """The models of most comparisons in the order of the ranking, and for every two the share that the first won."""
    ranking = read(ranked, scope, False, "prompts")
    most = sorted(ranking.standings, key=lambda one: -one.won.n)[:SHOWN]
    models = [one.model for one in ranking.standings if one in most]
    return models, head_to_head(read(compared, scope), models)


def whole(plain: Ranking, controlled: Ranking) -> pd.DataFrame:
    """A row a model, with every figure, for the download."""
    same = {one.model: one for one in controlled.standings}
    rows = []
    for one in plain.standings:
        row: dict[str, Any] = {"model": one.model, "best_rank": one.best, "worst_rank": one.worst}
        for name, e in (
            ("strength", one.strength),
            ("points", one.points),
            ("strength_at_equal_style", same[one.model].strength),
            ("won", one.won),
        ):
            row |= {name: e.value, f"{name}_low": e.low, f"{name}_high": e.high, f"{name}_n": e.n}
        rows.append(
            {**row, "reason": one.strength.reason, "reason_at_equal_style": same[one.model].strength.reason}
        )
    return pd.DataFrame(rows)
