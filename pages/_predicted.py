"""What a model said of pairs that people judged: which version, how good it is, and the pairs to look into."""

from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from core.estimate import Estimate
from core.held_out import HeldOut
from core.labels import Policy
from core.ratings import FloatArray
from core.roles import Identity
from pages._model_versions import no_model
from pages._predicted_pairs import pairs_table
from pages._session import read
from storage import learning, models
from storage.models import Model
from storage.store import Store


def choose(key: str, who: Identity) -> Model | None:
    """Ask for a version, the newest unless another is chosen; None while there is none, and then the page says so."""
    found = {model.id: model for model in read(models.listed)}
    if not found:
        no_model(who, "It learns from pairs that people judged, and what it gets wrong shows here.")
        return None
    chosen = st.selectbox(
        "Model",
        found,
        format_func=lambda key: standing(found[key]),
        key=key,
        width=420,
        persist_state="session",
    )
    return found[chosen]


def called(model: Model) -> str:
    return f"{model.name} {model.version}"


def standing(model: Model) -> str:
    return f"{called(model)} · {model.status}"


def policy(store: Store, model_id: str) -> Policy:
    """How votes became the labels that a model learnt from."""
    return learning.policy_of(models.lineage(store, model_id).learnt)


def wrong(found: HeldOut) -> HeldOut:
    """The pairs on whose other side people are, the most confident first."""
    rows = np.flatnonzero((found.p - 0.5) * (found.y - 0.5) < 0)
    return found.take(rows[np.argsort(-np.abs(found.p[rows] - 0.5), kind="stable")])


def pairs_list(found: HeldOut, key: str, weight: FloatArray | None = None) -> None:
    """What the model and people say of each pair, in this order; the one chosen shows its texts and votes."""
    p, y = found.p, found.y
    table = pd.DataFrame(
        {
            "pair_id": found.pair_id,
            "category": found.category,
            "model": np.where(p > 0.5, "A", "B"),
            "confidence": np.floor(1000 * np.maximum(p, 1 - p)) / 10,
            "people": np.select([y > 0.5, y < 0.5], ["A", "B"], "Tie"),
            "votes": 100 * np.maximum(y, 1 - y),
            **({} if weight is None else {"weight": weight}),
        }
    )
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    pairs_table(
        table, key, prompt=text("Prompt", width=330), category=text("Category", width=100),
        model=text("Model", width=65, help="The answer that the model says people prefer."),
        confidence=number("Confidence", width=90, format="%.1f%%", help="The probability that the model gave that answer."),
        people=text("People", width=65, help="The answer that most people prefer."),
        votes=number("Votes", width=65, format="%.0f%%", help="The share of votes for that answer; a tie is half a vote for each."),
        weight=number("Weight", width=70, format="%.2f", help="Against 1 on average."),
    )  # fmt: skip


def estimate(figures: dict[str, Any], name: str) -> str:
    """A figure of a result with its interval; – where there is none."""
    found = Estimate(**figures[name]) if name in figures else None
    if found is None or found.value is None:
        return "–"
    return f"{found.value:.3f}" + ("" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})")
