"""The report of a finished run directory, from its own files: what the shell writes beside result.json."""

import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from core.calibration import BINS
from core.report import Facts, Report, render, when
from core.report_drift import VIEWS, drift_report
from core.report_evaluation import Evaluated, evaluation_report
from core.rewards.base import MODEL_FILE, model_directory, sigmoid
from jobs.inputs import read_table
from jobs.protocol import Row, Run, replacing

REPORT = "report.html"


def write(run: Run) -> None:
    """Write report.html; ``run`` is a drift run or an evaluation that is done. Raises JobError where its files cannot be read."""
    job, result = run.job(), run.result() or {}
    made_at = datetime.fromisoformat(result["finished_at"]).astimezone(UTC)
    about = [("Run", run.id), ("Done", when(made_at)), *_inputs(run)]
    with replacing(run.path / REPORT) as file:
        file.write(render(KINDS[job["kind"]](run, job["arguments"], result, about, made_at)).encode())


def _drift(run: Run, told: Row, result: Row, about: Facts, made_at: datetime) -> Report:
    facts = [*about, ("View", VIEWS[told["view"]])]
    return drift_report(result, read_table(run.artifacts / "points.parquet"), told, facts, "texts", made_at)


def _evaluation(run: Run, told: Row, result: Row, about: Facts, made_at: datetime) -> Report:
    table = read_table(run.artifacts / "predictions.parquet")
    pairs = "group" in table.column_names
    unknown = pa.array([""] * len(table))
    category = table["category"] if pairs else unknown
    group = table["group"] if pairs else read_table(run.inputs / "ratings.parquet")["prompt"]
    found = Evaluated(
        p=table["probability"].to_numpy(),
        uncalibrated=sigmoid(table["raw"].to_numpy()),
        y=table["target"].to_numpy(),
        group=_names(group),
        category=_names(category),
        longer=_longer(run, table["pair_id"].to_pylist()) if pairs else None,
        bins=BINS,
        pairs=pairs,
    )
    model = result["model"]
    described = model_directory(Path(told["model"])) / MODEL_FILE
    lineage = [
        ("Method", model["method"]),
        ("Base", model["base"] or "none"),
        (MODEL_FILE, f"SHA-256 {_sha256(described)}"),
    ]
    settings = [("Ties", told["ties"]), ("Criterion", told["criterion"] or "none")]
    return evaluation_report(Path(told["model"]).name, found, about, lineage, settings, made_at)


KINDS: dict[str, Callable[[Run, Row, Row, Facts, datetime], Report]] = {
    "drift": _drift,
    "evaluate": _evaluation,
}


def _inputs(run: Run) -> Facts:
    """What the run was given, so that it can be told whether another was given the same."""
    return [
        (f"inputs/{path.name}", f"SHA-256 {_sha256(path)}") for path in sorted(run.inputs.glob("*.parquet"))
    ]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _longer(run: Run, pair_ids: list[str]) -> Any:
    """Of each pair the length of a less that of b."""
    texts = read_table(run.inputs / "preferences.parquet")
    both = zip(*(texts[name].to_pylist() for name in ("response_a", "response_b")), strict=True)
    lengths = dict(zip(texts["pair_id"].to_pylist(), (len(a) - len(b) for a, b in both), strict=True))
    return np.array([lengths[key] for key in pair_ids], dtype=np.float64)


def _names(column: pa.ChunkedArray) -> Any:
    return np.array(column.to_pylist(), dtype=object)
