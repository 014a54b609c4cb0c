"""The registry over HTTP: versions, lineage, and which one is deployed."""

import httpx

from tests.api.conftest import Learned, Team


def test_versions_with_what_they_come_from(learned: Learned, asking: httpx.Client) -> None:
    page = asking.get("/models", params={"name": "sample"}).json()
    assert page["total"] == len(page["items"]) >= 2
    one = next(model for model in page["items"] if model["id"] == learned.second)
    assert (one["version"], one["parent_id"], one["method"]) == ("1.1.0", learned.first, "sbert")
    assert one["job_id"] == learned.jobs["calibrate"]["id"] and len(one["checksum"]) == 64
    whole = asking.get(f"/models/{learned.first}").json()
    assert whole["learnt"]["category"] == "coding" and whole["learnt"]["policy"]["simulated"] is True
    assert whole["annotations"] > 0 and whole["parents"] == [] and "annotations" not in whole["learnt"]
    assert whole["figures"]["accuracy"].keys() >= {"value", "low", "high", "n"}
    assert asking.get(f"/models/{learned.second}").json()["parents"] == [learned.first]
    assert asking.get("/models", params={"name": "sample", "offset": 1, "limit": 1}).json()["items"] == [
        page["items"][1]
    ]


def test_deploy_roll_back_and_archive(learned: Learned, asking: httpx.Client) -> None:
    def status(model_id: str) -> str:
        return str(asking.get(f"/models/{model_id}").json()["status"])

    first, second = learned.first, learned.second
    assert status(first) == "deployed"
    answer = asking.post(f"/models/{second}/rollback")
    assert answer.status_code == 409 and "sample 1.1.0 is not deployed" in answer.json()["detail"]
    answer = asking.post(f"/models/{first}/archive")
    assert (
        answer.status_code == 409 and "deploy another version or roll back first" in answer.json()["detail"]
    )
    assert asking.post(f"/models/{second}/deploy").json()["status"] == "deployed"
    assert status(first) == "deprecated"
    assert asking.post(f"/models/{second}/rollback").json()["id"] == first
    assert (status(first), status(second)) == ("deployed", "deprecated")
    answer = asking.post(f"/models/{first}/rollback")
    assert answer.status_code == 409 and "deployed before 1.0.0" in answer.json()["detail"]


def test_there_is_no_such_model(client: httpx.Client) -> None:
    assert client.get("/models").json() == {"total": 0, "items": []}
    for method, path in (("GET", ""), ("POST", "/deploy"), ("POST", "/rollback"), ("POST", "/archive")):
        answer = client.request(method, f"/models/m_none{path}")
        assert answer.status_code == 404
        assert answer.json() == {"detail": "There is no model with the id 'm_none'."}


def test_an_annotator_sees_none(team: Team) -> None:
    answer = httpx.get(f"{team.server.url}/api/models", headers=team.headers("annotator"))
    assert answer.status_code == 403 and "takes the role researcher" in answer.json()["detail"]
