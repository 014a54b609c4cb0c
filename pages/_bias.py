"""What the Bias page rests on, computed from the store; a module, so that ``read`` can remember its results."""

import pandas as pd

from core import bias
from core.bias import POSITION, ByAnnotator, Report
from core.judgements import Judgements
from pages._session import read
from storage.judgements import judgements
from storage.store import Store

Kinds = tuple[str, ...]


def judged(campaign_id: str | None, category: str | None, kinds: Kinds) -> Judgements:
    """The judgements that a page is about."""
    return read(judgements, campaign_id=campaign_id, category=category, kinds=kinds)


def report(store: Store, campaign_id: str | None, category: str | None, kinds: Kinds) -> Report:
    """Every figure of bias over all annotators."""
    return bias.report(judged(campaign_id, category, kinds))


def leaning(
    store: Store, campaign_id: str | None, category: str | None, kinds: Kinds, trait: str
) -> ByAnnotator:
    """The share of one trait for each annotator."""
    return bias.by_annotator(judged(campaign_id, category, kinds), trait)


def as_table(found: Report) -> pd.DataFrame:
    """Every figure as numbers, a row each, for a file."""
    figures = [(trait, "share", effect.share) for trait, effect in found.effects.items()]
    figures += [(trait, "odds", effect.odds) for trait, effect in found.effects.items()]
    figures += [(POSITION, "balanced", found.balanced), (POSITION, "a_left", found.a_left)]
    figures += [(trait, f"pairs, {by}", e) for by, won in found.pairs.items() for trait, e in won.items()]
    figures += [
        ("speed", name, getattr(found.speed, name))
        for name in ("quick", "hasty", "careful", "less", "within")
    ]
    return pd.DataFrame(
        [(trait, name, e.value, e.low, e.high, e.n, e.reason) for trait, name, e in figures],
        columns=["trait", "figure", "value", "low", "high", "n", "reason"],
    )
