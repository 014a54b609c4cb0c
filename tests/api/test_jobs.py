"""Jobs over HTTP: trainings started, watched, listed, stopped, and refused with what is wrong."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import Learned, ended
from tests.tiny import write_encoder

SIMULATED = {"simulated": True}
NETWORK = {"kind": "train-reward", "name": "x", "method": "transformer", "policy": SIMULATED}


def test_a_training_as_it_ended(learned: Learned) -> None:
    job = learned.jobs["train-reward"]
    assert (job["kind"], job["state"], job["reason"]) == ("train-reward", "done", None)
    assert job["label"].startswith("sample · sbert · ")
    assert job["result"]["status"] == "done" and 0 <= job["result"]["accuracy"]["value"] <= 1
    assert job["metrics"] and job["arguments"]["method"] == "sbert" and job["model_id"]


def test_the_log(learned: Learned, asking: httpx.Client) -> None:
    answer = asking.get(f"/jobs/{learned.jobs['train-reward']['id']}/log")
    assert answer.headers["content-type"].startswith("text/plain") and "done: " in answer.text
    assert len(asking.get(f"/jobs/{learned.jobs['train-reward']['id']}/log?most=5").content) <= 5
    assert asking.get("/jobs/job_none/log").status_code == 404


def test_jobs_by_kind_state_and_page(learned: Learned, asking: httpx.Client) -> None:
    def ids(**query: object) -> list[str]:
        answer = asking.get("/jobs", params=query)  # type: ignore[arg-type]
        assert answer.status_code == 200
        return [job["id"] for job in answer.json()["items"]]

    mine = {kind: job["id"] for kind, job in learned.jobs.items()}
    assert mine["evaluate"] in ids(kind="evaluate") and mine["calibrate"] not in ids(kind="evaluate")
    assert set(mine.values()) <= set(ids(state="done")) and not set(mine.values()) & set(ids(state="failed"))
    assert ids(kind="generate-pairs") == []
    everything = ids()
    assert [*ids(limit=2), *ids(offset=2, limit=500)] == everything
    assert asking.get("/jobs", params={"limit": 1}).json()["total"] == len(everything)
    assert asking.get("/jobs", params={"state": "lost"}).status_code == 422


def refused(asking: httpx.Client, job: dict[str, Any], action: str) -> str:
    answer = asking.post(f"/jobs/{job['id']}/{action}")
    assert answer.status_code == 409
    return str(answer.json()["detail"])


def test_a_job_that_waits_is_cancelled_and_goes_on(asking: httpx.Client) -> None:
    body = {"kind": "train-reward", "name": "again", "policy": SIMULATED, "time_limit": 600}
    first, second = (asking.post("/jobs", json={**body, "priority": n}).json() for n in (1, 0))
    assert (first["priority"], first["time_limit"]) == (1, 600)
    assert second["state"] == "queued"
    assert second["id"] in [job["id"] for job in asking.get("/jobs?state=queued").json()["items"]]
    for job in (second, first):
        assert asking.post(f"/jobs/{job['id']}/cancel").status_code == 200
        told = ended(asking, job["id"])
        assert (told["state"], told["model_id"]) == ("cancelled", None) and told["reason"]
        assert "has ended" in refused(asking, job, "cancel")
    assert second["id"] in [job["id"] for job in asking.get("/jobs?state=cancelled").json()["items"]]
    assert asking.get("/models?name=again").json()["total"] == 0

    resumed = asking.post(f"/jobs/{second['id']}/resume")
    assert resumed.status_code == 200
    assert resumed.json()["state"] in ("queued", "running") and resumed.json()["ended_at"] is None
    assert refused(asking, second, "resume").startswith(f"Job {second['id']} is ")
    told = ended(asking, second["id"])
    assert told["state"] == "done" and asking.get("/models?name=again").json()["total"] == 1
    assert refused(asking, second, "resume") == f"Job {second['id']} is done: there is nothing left to do."
    asking.post(f"/models/{told['model_id']}/archive").raise_for_status()


def test_an_encoder_there_is_not_fails_the_job_with_the_reason(asking: httpx.Client) -> None:
    body = {"kind": "train-reward", "name": "lost", "base": "/nowhere/at-all", "policy": SIMULATED}
    told = ended(asking, asking.post("/jobs", json=body).json()["id"])
    assert told["state"] == "failed" and "There is no encoder /nowhere/at-all" in told["reason"]
    assert told["reason"] in asking.get(f"/jobs/{told['id']}/log").text


def test_a_network_is_trained_with_the_settings_that_were_asked_for(
    asking: httpx.Client, tmp_path: Path
) -> None:
    chosen = {
        "recipe": "plain",
        "batch": 8,
        "learning_rate": 1e-3,
        "patience": 0,
        "stop_share": 0,
        "tokens": 16,
    }
    body = {**NETWORK, "base": str(write_encoder(tmp_path)), "epochs": 1, "refit": False, "settings": chosen}
    told = ended(asking, asking.post("/jobs", json=body).json()["id"])
    assert told["state"] == "done", told["reason"]
    usual = {"head_rate": 3e-4, "accumulate": 1, "trained": 0, "weight_decay": 0.01}
    assert told["arguments"].items() >= {**chosen, **usual, "epochs": 1, "refit": False}.items()
    steps = [metric for metric in told["metrics"] if "loss" in metric]
    assert {metric["epoch"] for metric in steps} == {1} and 0 < steps[0]["learning_rate"] <= 1e-3
    assert told["result"]["details"]["layers"] == 3, "the plain recipe keeps every layer"
    asking.post(f"/models/{told['model_id']}/archive").raise_for_status()


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({}, 422, "kind"),
        ({"kind": "dance"}, 422, "'train-reward', 'calibrate', 'evaluate'"),
        ({"kind": "train-reward"}, 422, "name: Field required"),
        ({"kind": "train-reward", "name": ""}, 422, "at least 1 character"),
        ({"kind": "train-reward", "name": "  ", "policy": SIMULATED}, 422, "1 to 200 characters"),
        ({"kind": "train-reward", "name": "a\0"}, 422, "NUL"),
        ({"kind": "train-reward", "name": "x" * 201}, 422, "at most 200"),
        ({"kind": "train-reward", "name": "x", "method": "magic"}, 422, "'sbert', 'transformer' or 'trl'"),
        ({"kind": "train-reward", "name": "x", "epochs": 0}, 422, "greater than or equal to 1"),
        ({"kind": "train-reward", "name": "x", "held_out": 0.9}, 422, "less than or equal to 0.8"),
        ({"kind": "train-reward", "name": "x", "time_limit": -1}, 422, "greater than 0"),
        ({"kind": "train-reward", "name": "x", "policy": {"ties": "double"}}, 422, "'half' or 'drop'"),
        ({"kind": "train-reward", "name": "x", "model": "y"}, 422, "Extra inputs"),
        ({**NETWORK, "settings": {"batch": 1}}, 422, "settings.batch: Input should be greater than or equal to 2"),
        ({**NETWORK, "settings": {"recipe": "magic"}}, 422, "settings.recipe: Input should be 'probed' or 'plain'"),
        ({**NETWORK, "settings": {"head_rate": 0}}, 422, "settings.head_rate: Input should be greater than 0"),
        ({**NETWORK, "settings": {"stop_share": 0.9}}, 422, "settings.stop_share: Input should be less than 0.9"),
        ({**NETWORK, "settings": {"tokens": "many"}}, 422, "settings.tokens: Input should be a valid integer"),
        ({**NETWORK, "settings": {"dropout": 0.1}}, 422, "settings.dropout: Extra inputs"),
        ({**NETWORK, "settings": [1]}, 422, "settings: Input should be a valid dictionary"),
        (
            {**NETWORK, "method": "trl", "settings": {"batch": 8, "head_rate": 1e-4}},
            422,
            "The method trl has no setting 'head_rate'; it has method, model, epochs,",
        ),
        (
            {**NETWORK, "method": "sbert", "settings": {"recipe": "plain"}},
            422,
            "The method sbert has no setting 'recipe'; it has",
        ),
        ({"kind": "train-reward", "name": "x"}, 422, "there are 0, so 15 more are needed. Of 72 pairs 72 are left out"),
        (
            {"kind": "train-reward", "name": "x", "category": "cooking", "policy": SIMULATED},
            422,
            "there are 0, so 15 more are needed",
        ),
        ({"kind": "train-reward", "name": "x", "campaign": "c_none"}, 404, "c_none"),
        ({"kind": "train-reward", "name": "x", "parent": "m_none", "policy": SIMULATED}, 404, "m_none"),
        ({"kind": "train-reward", "name": "x", "emphasise": "m_none", "policy": SIMULATED}, 404, "m_none"),
        ({"kind": "calibrate", "model": "m_none"}, 404, "There is no model with the id 'm_none'"),
        ({"kind": "evaluate", "model": "m_none"}, 404, "There is no model with the id 'm_none'"),
        ({"kind": "evaluate"}, 422, "model: Field required"),
    ],
)  # fmt: skip
def test_what_cannot_be_started(asking: httpx.Client, body: dict[str, Any], status: int, says: str) -> None:
    before = asking.get("/jobs?limit=1").json()["total"]
    answer = asking.post("/jobs", json=body)
    assert answer.status_code == status and says in answer.json()["detail"], answer.text
    assert asking.get("/jobs?limit=1").json()["total"] == before


def test_nothing_new_to_judge_a_model_on(learned: Learned, asking: httpx.Client) -> None:
    answer = asking.post("/jobs", json={"kind": "evaluate", "model": learned.first, "category": "coding"})
    assert answer.status_code == 422
    assert "no labelled pair that sample 1.0.0 has not learnt from. Of 18 pairs 18" in answer.json()["detail"]


def test_there_is_no_such_job(client: httpx.Client) -> None:
    for method, path in (("GET", ""), ("GET", "/log"), ("POST", "/cancel"), ("POST", "/resume")):
        answer = client.request(method, f"/jobs/job_none{path}")
        assert answer.status_code == 404 and answer.json() == {"detail": "There is no job 'job_none'."}
