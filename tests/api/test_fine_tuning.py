"""Fine-tuning over HTTP: estimated, refused, sent to a server on this machine, watched and cancelled."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs import ingest
from storage import audits
from storage.simulated import load_sample
from tests.api.inside import inside
from tests.jobs.benches import ended, stored, until
from tests.providers.tuning_server import STEPS, TuningServer, tuning_server

NEW = {
    "simulated": True,
    "shape": "preference",
    "model": "gpt-4.1-mini",
    "epochs": 2,
    "price_per_million": 25,
    "budget": 5,
}


@pytest.fixture(scope="module")
def server() -> Iterator[TuningServer]:
    with tuning_server() as server:
        yield server


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory, server: TuningServer) -> Iterator[Any]:
    """The API with the sample project, and the workbench behind it."""
    folder: Path = tmp_path_factory.mktemp("tuning")
    env = {"OPENAI_BASE_URL": server.url, "ATTUNE_AUTH": "off"}
    with (
        pytest.MonkeyPatch.context() as patch,
        inside(patch, folder, **env) as (url, bench),
        httpx.Client(base_url=f"{url}/api/fine-tuning", timeout=60) as client,
    ):
        load_sample(bench.store, bench.desks, "test")
        yield client, bench


def test_the_estimate_sends_nothing_and_says_what_is_wrong(app: Any, server: TuningServer) -> None:
    client, _ = app
    found = client.post("/estimate", json=NEW).json()
    assert found["refusal"] is None and found["cost"] == found["tokens"] * 2 * 25 / 1e6
    assert found["examples"] > 40 and found["examples"] + found["validation"] + found["kept_back"] < 72
    assert any("simulated" in warning for warning in found["warnings"])
    dear = client.post("/estimate", json={**NEW, "budget": 0.01}).json()
    assert f"about {found['cost']:,.2f}, and the budget is 0.01" in dear["refusal"]
    assert not server.files


@pytest.mark.parametrize(
    ("change", "status", "told"),
    [
        ({"budget": 0.01}, 422, "the budget is 0.01"),
        ({"simulated": False}, 422, "at least 10 examples, and there are 0"),
        ({"model": "  "}, 422, "model: name the model"),
        ({"shape": "kto"}, 422, "shape"),
        ({"provider": "bedrock"}, 422, "provider"),
        ({"epochs": 0}, 422, "epochs"),
        ({"price_per_million": -1}, 422, "price_per_million"),
        ({"key": "sk-1"}, 422, "key"),
        ({"campaign": "c_none"}, 404, "c_none"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_queued(
    app: Any, server: TuningServer, change: dict[str, object], status: int, told: str
) -> None:
    client, _ = app
    answer = client.post("/jobs", json=NEW | change)
    assert answer.status_code == status and told in answer.text, answer.text
    assert client.get("/jobs").json()["total"] == 0 and not server.files


def test_without_a_key_nothing_is_queued(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    client, bench = app
    monkeypatch.setattr(bench.settings, "openai_base_url", "")
    monkeypatch.setattr(bench.settings, "openai_api_key", None)
    answer = client.post("/jobs", json=NEW)
    assert answer.status_code == 409 and "Set OPENAI_API_KEY" in answer.json()["detail"]


def test_a_job_is_sent_watched_and_cancelled(app: Any, server: TuningServer) -> None:
    client, bench = app
    server.stages = ["succeeded"]
    started = client.post("/jobs", json=NEW | {"suffix": "kind"})
    assert started.status_code == 201, started.text
    told = started.json()
    assert told["kind"] == "fine-tune" and told["tuning"]["price"] == 25 and told["provider_job"] is None
    ended(bench, (job := ingest.listed(bench)[0][0]))
    found = client.get(f"/jobs/{told['id']}").json()
    assert (found["state"], found["provider_job"], found["provider_status"], found["fine_tuned_model"], found["cost"]) == (
        "done", "ftjob-0", "succeeded", "ft:gpt-4.1-mini:org:kind:1", 0.75,
    )  # fmt: skip
    assert len(server.files["file-0"]["content"].splitlines()) == told["estimate"]["examples"]
    entries, _ = audits.page(bench.store, audits.Filter(record=job.id))
    assert [entry["action"] for entry in entries] == ["start"]

    server.stages = ["running"]
    second = client.post("/jobs", json=NEW | {"shape": "supervised"}).json()
    until(lambda: len(client.get(f"/jobs/{second['id']}").json()["metrics"]) == STEPS, bench)
    assert client.post(f"/jobs/{second['id']}/cancel").status_code == 200
    assert client.post(f"/jobs/{second['id']}/cancel").status_code == 409
    ended(bench, ingest.listed(bench)[0][0])
    assert [row["state"] for row in client.get("/jobs").json()["items"]] == ["cancelled", "done"]
    assert server.jobs["ftjob-1"]["status"] == "cancelled" and server.asked["POST cancel"] == 1
    assert stored(bench, job).state == "done"
    assert client.get("/jobs/job_none").status_code == 404
