"""Reports of what is in the store, and of run directories that the shell left."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.calibrators import Identity
from core.comparing import accuracy
from core.held_out import HeldOut, unseen
from core.rewards.base import VotePredictor
from jobs import reports, run_reports
from jobs.protocol import JobError, Run
from storage import campaigns, drift, models, pairs
from storage.models import SPLITS, ModelError
from storage.tables import DriftRow, ProbeRow
from storage.workbench import Workbench
from tests.jobs.training import Idle
from tests.pages.registered import judged, version
from tests.reported import ARGUMENTS, FIRST, HOSTILE, Read, drifted, evaluated


@pytest.fixture
def learned(bench: Workbench) -> Workbench:
    """600 judged pairs and a version with a name that would like to be HTML."""
    judged(bench)
    version(bench, name=HOSTILE)
    return bench


def test_a_model_on_all_that_it_had_not_seen(learned: Workbench) -> None:
    model = models.listed(learned.store)[0]
    found = HeldOut.of(unseen(models.predictions(learned.store, model.id, SPLITS)))
    page = Read(reports.of_model(learned, model.id))
    right = accuracy(found.as_stored())
    assert page.row("Accuracy")[1:] == [
        f"{right.value:.3f}",
        f"{right.low:.3f} to {right.high:.3f}",
        f"{right.n}",
    ]
    longer = pairs.length_differences(learned.store, found.pair_id.tolist())
    texts = {
        row["id"]: (row["response_a"], row["response_b"]) for row in pairs.page(learned.store, limit=1000)[0]
    }
    assert longer.tolist() == [len(texts[key][0]) - len(texts[key][1]) for key in found.pair_id]
    lineage = models.lineage(learned.store, model.id)
    assert f"600 pairs with {len(lineage.annotation_ids):,} annotations" in page.text
    assert model.checksum in page.text and f"Evaluation of {HOSTILE} 1.0.0" in page.text
    assert "simulated annotators are left out" in page.text and "the job’s folder is gone" in page.text
    assert "script" not in page.tags and page.links == ["data:,"]


def test_a_model_on_a_probe_and_where_there_is_nothing(learned: Workbench) -> None:
    model = models.listed(learned.store)[0]
    some = models.predictions(learned.store, model.id, ["test"]).slice(0, 40)
    probe = models.add_probe(learned.store, ProbeRow(id="probe_1", model_id=model.id, actor="ann"), some)
    page = Read(reports.of_model(learned, model.id, probe.id))
    assert (
        "40 pairs of 40 prompts" in page.text
        and f"the probe of {probe.created_at:%Y-%m-%d %H:%M} UTC" in page.text
    )
    with pytest.raises(ModelError, match="There is no probe 'probe_2'"):
        reports.of_model(learned, model.id, "probe_2")
    silent = version(learned, name="silent", parts=("train",))
    with pytest.raises(ModelError, match=r"silent 1\.0\.0 has predicted no pair .* Probe it"):
        reports.of_model(learned, silent.id)


def test_a_drift_run_with_the_names_of_what_it_looked_at(learned: Workbench) -> None:
    figures, points = drifted()
    model = models.listed(learned.store)[0]
    row = DriftRow(id="job_1", campaign_id=campaigns.first(learned.store).id, population="answers", view="tfidf", grouped="prompt",
                   scope={"by": "added", "simulated": True, "category": HOSTILE}, model_id=model.id, other_id="m_gone", actor="ann",
                   created_at=model.created_at, figures=figures)  # fmt: skip
    Run.create(learned.settings.runs_dir / row.id, "drift", ARGUMENTS)
    clusters = pa.table({"cluster": [0], "name": [""], "n": [1], "x": [0.0], "y": [0.0], "centroid": [[0.0]]})
    drift.register(learned.store, row, points, clusters)
    page = Read(reports.of_drift(learned, drift.listed(learned.store)[0]))
    assert "answers of pairs added in the windows; simulated annotators count" in page.text
    assert f"{HOSTILE} 1.0.0" in page.text and "a model that is gone" in page.text and "seed 11" in page.text
    assert campaigns.first(learned.store).name in page.text and page.tags.count("svg") == 3
    assert "script" not in page.tags


def test_a_run_directory_has_its_report_beside_its_result(tmp_path: Path) -> None:
    figures, points = drifted()
    run = finished(tmp_path / "drift", "drift", ARGUMENTS, figures)
    pq.write_table(points, run.artifacts / "points.parquet")
    run_reports.write(run)
    page = Read((run.path / "report.html").read_text("utf-8"))
    assert f"Drift of texts {FIRST}" in page.text and "seed 11" in page.text


@pytest.mark.parametrize("of_pairs", [True, False])
def test_so_has_an_evaluation(tmp_path: Path, of_pairs: bool) -> None:
    found = evaluated(pairs=of_pairs)
    VotePredictor(Idle(), Identity()).save(make(tmp_path / "my model"))
    told = {"model": str(tmp_path / "my model"), "data": "x.jsonl", "ties": "half", "criterion": None}
    run = finished(tmp_path / "run", "evaluate", told, {"model": {"method": "sbert", "base": None}})
    ids = [str(i) for i in range(len(found.p))]
    raw = np.log(found.uncalibrated / (1 - found.uncalibrated))
    said: dict[str, Any] = {"pair_id": ids, "raw": raw, "probability": found.p, "target": found.y}
    if of_pairs:
        said |= {"group": found.group.tolist(), "category": found.category.tolist()}
        texts = {"pair_id": ids, "response_a": ["long"] * len(ids), "response_b": ["x"] * len(ids)}
        pq.write_table(pa.table(texts), run.inputs / "preferences.parquet")
    else:
        pq.write_table(pa.table({"prompt": found.group.tolist()}), run.inputs / "ratings.parquet")
    pq.write_table(pa.table(said), run.artifacts / "predictions.parquet")
    run_reports.write(run)
    page = Read((run.path / "report.html").read_text("utf-8"))
    assert (
        "Evaluation of my model" in page.text and "600 " + ("pairs" if of_pairs else "answers") in page.text
    )
    assert page.row("Accuracy")[1] == f"{accuracy(found.as_said).value:.3f}"
    assert ("Preferring the longer answer" in page.text) is of_pairs and page.text.count("SHA-256") == 2


def test_a_damaged_run_directory_says_what_cannot_be_read(tmp_path: Path) -> None:
    run = finished(tmp_path / "drift", "drift", ARGUMENTS, drifted()[0])
    with pytest.raises(JobError, match=r"points\.parquet cannot be read"):
        run_reports.write(run)
    assert not (run.path / "report.html").exists()


def finished(path: Path, kind: str, arguments: dict[str, Any], figures: dict[str, Any]) -> Run:
    run = Run.create(path, kind, arguments)
    run.end("done", None, figures)
    return run


def make(folder: Path) -> Path:
    folder.mkdir()
    return folder
