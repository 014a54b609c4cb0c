"""UKPConvArg1 whole, and the published hh-rlhf rows, through the API."""

import json
from pathlib import Path

import httpx
import pytest

from tests.serving import serve
from tests.ukp import ukp_rows


def test_ukp_goes_in_whole_and_its_agreement_comes_out(shared_data: Path, tmp_path: Path) -> None:
    content = "\n".join(json.dumps(row) for _, row in ukp_rows(shared_data)).encode()
    with serve(tmp_path) as server, httpx.Client(base_url=f"{server.url}/api", timeout=300) as client:
        form = {
            "files": {"file": ("ukp.jsonl", content)},
            "data": {"format": "annotated", "source": "UKPConvArg1"},
        }
        report = client.post("/pairs/upload", **form).json()  # type: ignore[arg-type]
        assert report == {
            "added": 13_458,
            "duplicate": 0,
            "annotations": 67_129,
            "annotators": 3_788,
            "refused": [],
        }
        assert client.get("/annotations", params={"limit": 1}).json()["total"] == 67_129
        assert client.get("/pairs", params={"limit": 1}).json()["total"] == 13_458

        figures = client.get("/metrics").json()
        assert figures["raw_agreement"]["n"] == 13_458
        assert 0.5 < figures["raw_agreement"]["low"] < figures["raw_agreement"]["high"] < 0.8
        assert 0.2 < figures["krippendorff_alpha"]["value"] < 0.5
        assert figures["confidence_weighted_agreement"]["value"] is None
        decisive = client.get("/metrics", params={"ties": "drop"}).json()
        assert decisive["raw_agreement"]["value"] > figures["raw_agreement"]["value"]

        length = client.get("/metrics/bias").json()["length"]
        assert length["pairs"]["clear"]["low"] < 0.77 < length["pairs"]["clear"]["high"]
        people = client.get("/metrics/annotators", params={"order": "reliability"}).json()
        assert people["total"] == 3_788 and people["annotators"][0]["reliability"]["high"] < 0.3

        rlhf = client.get("/export/rlhf", params={"label": "dawid_skene", "min_votes": 5})
        counts = json.loads(rlhf.headers["x-attune-report"])
        assert counts["pairs"] == 13_458
        assert counts["rows"]["train"] == len(rlhf.content.split(b"\n")) - 1 > 10_000
        assert len(client.get("/export/csv").content.splitlines()) > 67_129

        again = client.post("/pairs/upload", **form).json()  # type: ignore[arg-type]
        assert (again["added"], again["duplicate"], again["annotations"]) == (0, 67_129, 0)
        assert "Traceback" not in server.log.read_text()


def test_hh_rlhf_as_published(shared_data: Path, client: httpx.Client) -> None:
    files = sorted((shared_data / "hh_rlhf_raw").glob("*.jsonl*"))
    if not files:
        pytest.skip("hh_rlhf_raw holds no JSONL")
    refused = 0
    for file in files:
        answer = client.post(
            "/pairs/upload", files={"file": (file.name, file.read_bytes())}, data={"format": "hh"}
        )
        report = answer.json()
        assert report["added"] > 0
        refused += len(report["refused"])
        assert all(row["reason"] and row["row"] > 0 for row in report["refused"])
    assert refused > 0
