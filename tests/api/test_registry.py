"""The registry over HTTP: versions, lineage, and which one is deployed."""

from pathlib import Path

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


def test_a_version_whose_files_are_damaged_is_not_rolled_back_to(
    learned: Learned, asking: httpx.Client
) -> None:
    weights = models_of(learned) / learned.jobs["train-reward"]["id"] / "weights.safetensors"
    whole = weights.read_bytes()
    asking.post(f"/models/{learned.second}/deploy").raise_for_status()
    weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    answer = asking.post(f"/models/{learned.second}/rollback")
    assert answer.status_code == 503
    said = answer.json()["detail"]
    assert said.startswith(
        "sample 1.1.0 stays deployed, as the version before it is damaged. sample 1.0.0/weights.safetensors"
    )
    assert "archive 1.0.0 and roll back again" in said and str(models_of(learned)) not in said
    assert asking.get(f"/models/{learned.second}").json()["status"] == "deployed"
    weights.write_bytes(whole)
    assert asking.post(f"/models/{learned.second}/rollback").json()["id"] == learned.first


def models_of(learned: Learned) -> Path:
    return learned.server.log.parent / "models"


def test_out_of_the_archive(learned: Learned, asking: httpx.Client) -> None:
    second = f"/models/{learned.second}"
    answer = asking.post(f"{second}/restore")
    assert answer.status_code == 409 and answer.json()["detail"] == "sample 1.1.0 is not archived."
    assert asking.post(f"{second}/archive").json()["status"] == "archived"
    assert learned.second not in [model["id"] for model in asking.get("/models").json()["items"]]
    answer = asking.post(f"{second}/deploy")
    assert answer.status_code == 409 and "is archived; restore it first" in answer.json()["detail"]
    assert asking.post(f"{second}/restore").json()["status"] == "testing"
    assert learned.second in [model["id"] for model in asking.get("/models").json()["items"]]


def test_aliases(learned: Learned, asking: httpx.Client) -> None:
    first, second = f"/models/{learned.first}/aliases", f"/models/{learned.second}/aliases"

    def answers() -> str:
        asked = {"items": [{"prompt": "x", "response": "y"}], "model": "champion of 2026/最"}
        return str(asking.post("/score", json=asked).json()["model"]["id"])

    alias = {"alias": "champion of 2026/最"}
    assert asking.post(first, json=alias).json()["aliases"] == [alias["alias"]]
    assert answers() == learned.first
    for _ in range(2):
        assert asking.post(second, json=alias).json()["aliases"] == [alias["alias"]]
        assert asking.get(f"/models/{learned.first}").json()["aliases"] == [], "it has moved"
        assert answers() == learned.second
    assert asking.delete(second, params=alias).json()["aliases"] == []
    answer = asking.delete(second, params=alias)
    assert answer.status_code == 409 and "sample 1.1.0 has no alias" in answer.json()["detail"]
    for wrong, says in ((" ", "at least 1 character"), ("x" * 201, "at most 200"), ("a\0", "NUL")):
        answer = asking.post(first, json={"alias": wrong})
        assert answer.status_code == 422 and answer.json()["field"] == "alias"
        assert says in answer.json()["detail"]
    assert asking.get(f"/models/{learned.first}").json()["aliases"] == []


def test_there_is_no_such_model(client: httpx.Client) -> None:
    assert client.get("/models").json() == {"total": 0, "items": []}
    for method, path in (
        ("GET", ""),
        ("GET", "/production"),
        ("POST", "/deploy"),
        ("POST", "/rollback"),
        ("POST", "/archive"),
        ("POST", "/restore"),
        ("POST", "/aliases"),
        ("DELETE", "/aliases?alias=champion"),
    ):
        body = {"json": {"alias": "champion"}} if path == "/aliases" else {}
        answer = client.request(method, f"/models/m_none{path}", **body)
        assert answer.status_code == 404
        assert answer.json() == {"detail": "There is no model with the id 'm_none'."}


def test_an_annotator_sees_none(team: Team) -> None:
    answer = httpx.get(f"{team.server.url}/api/models", headers=team.headers("annotator"))
    assert answer.status_code == 403 and "takes the role researcher" in answer.json()["detail"]
