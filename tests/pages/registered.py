"""A store with judged pairs, and versions of a model whose probabilities are known."""

import hashlib
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pyarrow as pa

from core.importing import read_judgements
from core.preferences import split
from core.rewards.base import MODEL_FILE, VotePredictor
from storage import campaigns, learning, models, pairs
from storage.models import Model
from storage.tables import ModelRow
from storage.workbench import Workbench
from tests.jobs.training import Idle

START = datetime(2026, 1, 5, tzinfo=UTC)
CATEGORIES = ("math", "coding")


def judged(bench: Workbench, n: int = 600, start: int = 0, campaign_id: str | None = None) -> None:
    """Pairs of a prompt each, numbered from ``start``; a is the better answer of the even ones, and two people say so of
    most, over six weeks, in a campaign (None: the first)."""
    r = np.random.default_rng(start)
    rows = []
    for i in range(start, start + n):
        for who in ("ann", "bob"):
            right = r.random() < 0.8
            rows.append(
                {
                    "prompt": f"question {i}",
                    "response_a": f"the first of {i}",
                    "response_b": f"the second of {i}",
                    "annotator": who,
                    "choice": "ab"[(i + right + 1) % 2],
                    "category": CATEGORIES[i % 4 // 2],
                    "submitted_at": (START + timedelta(days=i % 42)).isoformat(),
                }
            )
    parsed = read_judgements(list(enumerate(rows, start=1)))
    here = campaign_id or campaigns.first(bench.store).id
    pairs.add_judged(bench.store, bench.desks, parsed, here, "test", source="test")


def version(
    bench: Workbench,
    skill: float = 1.0,
    scale: float = 1.0,
    name: str = "votes",
    seed: int = 0,
    parts: tuple[str, ...] = ("train", "calibration", "test"),
    of: str = "",
    noise: int = 0,
    **row: object,
) -> Model:
    """Register a version that finds the better answer with some ``skill``, and says so too loudly by ``scale``.

    ``parts``: the splits whose predictions it leaves. ``of``: words that its prompts have in them.
    """
    table = learning.freeze(bench.store).table
    chosen = [i for i, prompt in enumerate(table["prompt"].to_pylist()) if of in prompt]
    table = table.take(pa.array(chosen, pa.int64()))
    number = np.array([int(prompt.split()[1]) for prompt in table["prompt"].to_pylist()])
    r = np.random.default_rng(noise)
    drawn = r.normal(skill, 1.0, 10_000)[number]
    raw = scale * drawn * np.where(number % 2 == 0, 1, -1)
    where = np.array(split(table["group"].to_pylist(), seed))
    said = pa.table(
        {
            "pair_id": table["pair_id"],
            "split": where.tolist(),
            "raw": raw,
            "probability": 1 / (1 + np.exp(-raw)),
            "target": table["target"],
        }
    )
    kept = pa.array(np.isin(where, parts))
    test = int((where == "test").sum())
    estimate = {"value": 0.8, "low": 0.7, "high": 0.9, "n": test, "target": None, "reason": None}
    identity = {
        "name": "identity",
        "reason": "No calibrator: the best, temperature, gains nothing.",
        "log_loss": {},
        "gain": {},
    }
    path = f"models/{uuid4().hex}"
    home = bench.settings.data_dir / path
    VotePredictor(Idle()).save(home)
    usual = {
        "id": "",
        "name": name,
        "version": "",
        "method": "sbert",
        "base": "all-MiniLM-L6-v2",
        "path": path,
        "actor": "ann",
        "checksum": hashlib.sha256((home / MODEL_FILE).read_bytes()).hexdigest(),
        "figures": {"accuracy": estimate, "log_loss": estimate, "ece": estimate, "calibrator": identity},
        "lineage": learning.lineage(table),
    }
    return models.register(bench.store, ModelRow(**{**usual, **row}), said.filter(kept))
