"""Reports over HTTP: one HTML page that nothing can run in."""

from pathlib import Path

import httpx
import pyarrow as pa
import pytest

from storage import drift
from storage.tables import DriftRow
from tests.api.conftest import Learned
from tests.api.inside import inside
from tests.reported import HOSTILE, Read, drifted


def test_the_evaluation_of_a_version(learned: Learned, asking: httpx.Client) -> None:
    answer = asking.get(f"/models/{learned.first}/report")
    assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'") and "script" not in policy
    page = Read(answer.text)
    assert "Evaluation of sample 1.0.0" in page.text and "its test split and its probes" in page.text
    whole = asking.get(f"/models/{learned.first}").json()
    assert f"{whole['annotations']:,} annotations" in page.text and whole["checksum"] in page.text
    assert "method sbert" in page.text and "seed 0" in page.text
    tested = Read(asking.get(f"/models/{learned.first}/report", params={"pairs": "test"}).text)
    assert int(tested.row("Log loss")[3]) < int(page.row("Log loss")[3])
    probe = f"probe_{learned.jobs['evaluate']['id']}"
    probed = Read(asking.get(f"/models/{learned.first}/report", params={"pairs": probe}).text)
    assert "the probe of" in probed.text
    here = asking.get("/annotations").json()["items"][0]["campaign_id"]
    narrowed = Read(asking.get(f"/models/{learned.first}/report", params={"campaign": here}).text)
    assert "last annotated in the campaign" in narrowed.text and narrowed.row("Log loss") == page.row(
        "Log loss"
    )


def test_what_there_is_not(learned: Learned, asking: httpx.Client) -> None:
    assert asking.get("/models/m_none/report").status_code == 404
    answer = asking.get(f"/models/{learned.first}/report", params={"pairs": "probe_none"})
    assert answer.status_code == 409 and "There is no probe 'probe_none'" in answer.json()["detail"]
    assert asking.get(f"/models/{learned.first}/report", params={"campaign": "c_none"}).status_code == 404
    answer = asking.get("/drift/job_none/report")
    assert answer.status_code == 404 and "no finished drift run" in answer.json()["detail"]


def test_a_drift_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with inside(monkeypatch, tmp_path, ATTUNE_AUTH="off") as (url, bench):
        figures, points = drifted()
        row = DriftRow(
            id="job_1",
            population="pairs",
            view="tfidf",
            grouped="text",
            scope={},
            actor="ann",
            figures=figures,
        )
        clusters = pa.table(
            {"cluster": [0], "name": [""], "n": [1], "x": [0.0], "y": [0.0], "centroid": [[0.0]]}
        )
        drift.register(bench.store, row, points, clusters)
        answer = httpx.get(f"{url}/api/drift/job_1/report", timeout=60)
        assert answer.status_code == 200 and "sandbox" in answer.headers["content-security-policy"]
        page = Read(answer.text)
        assert f"cluster 1 · {HOSTILE}" in page.text and "script" not in page.tags
