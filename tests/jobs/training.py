"""What a training leaves behind, without the training; apart from the worker, which starts faster without these imports."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from core.calibrators import Identity
from core.ratings import FloatArray
from core.rewards.base import Encoders, VotePredictor, load
from core.rewards.sbert import SbertReward
from jobs.protocol import Run


class Idle:
    """A reward model with weights that say nothing."""

    method, base = "sbert", "none"

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        return np.zeros(len(prompts))

    def save(self, directory: Path) -> None:
        (directory / "model.safetensors").write_bytes(bytes(1000))


def train(run: Run, how: str) -> None:
    """Write the model and its predictions, or what ``how`` makes of them."""
    table = pq.read_table(run.inputs / "preferences.parquet")
    raw = np.where(np.arange(len(table)) % 2, -1.0, np.nan if how == "nan" else 1.0)
    columns = {"raw": raw, "probability": 1 / (1 + np.exp(-np.nan_to_num(raw))), "target": table["target"]}
    split = ["test" if n % 3 else "train" for n in range(len(table))]
    found = pa.table({"pair_id": table["pair_id"], "split": split, **columns})
    if how != "no predictions":
        pq.write_table(found, run.artifacts / "predictions.parquet")
    model = run.artifacts / "model"
    VotePredictor(Idle(), Identity()).save(model)
    if how == "a flipped byte":
        (model / "model.safetensors").write_bytes(bytes(999) + b"1")


def widened(folder: Path, encoder: Encoders) -> VotePredictor:
    """The model in a folder, with weights for vectors of one number more than its encoder gives."""
    predictor = load(folder, encoder)
    assert isinstance(predictor.model, SbertReward)
    weights = np.append(predictor.model.embedding, 1.0)
    return replace(predictor, model=replace(predictor.model, embedding=weights))
