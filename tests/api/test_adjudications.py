"""Adjudicating as a script does it, with sign-in off."""

import json
from typing import Any

import httpx

CATEGORY = "disputed by script"


def disputes(client: httpx.Client, n: int, tag: str) -> None:
    """``n`` pairs on which two people disagree, and one on which they agree."""
    rows = [
        {"prompt": f"{tag} {i}", "response_a": "yes", "response_b": "no", "category": CATEGORY, "annotator": who,
         "choice": "a" if who == "ann" or i == n else "b", "reason": f"{who} says so"}
        for i in range(n + 1) for who in ("ann", "bob")
    ]  # fmt: skip
    file = "\n".join(map(json.dumps, rows)).encode()
    report = client.post("/pairs/upload", files={"file": ("x.jsonl", file)}, data={"format": "annotated", "source": tag}).json()  # fmt: skip
    assert report["annotations"] == len(rows)


def fetch(client: httpx.Client, name: str) -> dict[str, Any]:
    answer = client.get("/adjudications/next", params={"category": CATEGORY}, headers={"X-Attune-Name": name})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def test_a_script_settles_disputed_pairs(client: httpx.Client) -> None:
    disputes(client, 2, "settling")
    lea = {"X-Attune-Name": "Lea"}
    found = fetch(client, "Lea")
    assert found["status"] == "pair" and found["disputed"] == {"resolved": 0, "own": 0, "passed": 0, "held": 0, "open": 2}  # fmt: skip
    assert "says so" not in json.dumps(found) and fetch(client, "Lea")["lease_id"] == found["lease_id"]
    assert fetch(client, "Lou")["pair_id"] != found["pair_id"]
    said = {"pair_id": found["pair_id"], "lease_id": found["lease_id"], "preferred_id": found["response_b"]["id"], "reason": "No."}  # fmt: skip
    first = client.post("/adjudications", json=said, headers=lea)
    assert first.status_code == 201
    stored = first.json()
    assert (stored["choice"], stored["source"], stored["left"]) == ("b", "adjudication", found["left"])
    assert client.post("/adjudications", json=said, headers=lea).json() == stored
    other = {**said, "preferred_id": found["response_a"]["id"]}
    assert client.post("/adjudications", json=other, headers=lea).status_code == 409
    assert client.post("/adjudications", json=said, headers={"X-Attune-Name": "Lou"}).status_code == 404
    assert client.patch(f"/annotations/{stored['id']}", json={"choice": "a"}, headers=lea).status_code == 403

    of_pair = {"pair_id": found["pair_id"]}
    listed = client.get("/adjudications", params=of_pair).json()
    assert [(row["id"], row["annotator"]) for row in listed["items"]] == [(stored["id"], "Lea")]
    assert client.get("/annotations", params=of_pair).json()["total"] == 2
    done = fetch(client, "Lea")
    assert done["status"] == "none" and (done["disputed"]["resolved"], done["disputed"]["held"]) == (1, 1)

    exported = client.get("/export/rlhf", params={"category": CATEGORY}).text
    assert found["prompt"]["text"] in {json.loads(line)["prompt"] for line in exported.splitlines()}
    assert (
        client.delete(f"/adjudications/{stored['id']}", headers={"X-Attune-Name": "Lou"}).status_code == 404
    )
    undone = client.delete(f"/adjudications/{stored['id']}", headers=lea).json()
    assert fetch(client, "Lea")["lease_id"] == undone["lease_id"]
    assert client.get("/adjudications", params=of_pair).json()["total"] == 0
    assert (
        client.post(
            "/adjudications", json={**said, "lease_id": undone["lease_id"], "choice": "a"}
        ).status_code
        == 422
    )
