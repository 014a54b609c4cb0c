"""The app over real HTTP, started once for each way of signing in."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.roles import ROLES, Role
from storage import people
from storage.desk import Desks
from storage.simulated import load_sample
from storage.store import Store
from storage.tables import AccountRow
from tests.serving import Server, serve

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with sign-in off; its limits keep a made-up request from starting an hour of training."""
    with serve(
        tmp_path_factory.mktemp("off"), ATTUNE_UPLOAD_MB="60", ATTUNE_REWARD_MINIMUM="100000"
    ) as server:
        yield server
        assert "Traceback" not in server.log.read_text()


@pytest.fixture
def client(off: Server) -> Iterator[httpx.Client]:
    """A script on this machine, with sign-in off."""
    with httpx.Client(base_url=f"{off.url}/api", timeout=120) as client:
        yield client


@dataclass(frozen=True)
class Team:
    """The app with passwords, and a token for somebody of each role; logins are the roles, names capitalised."""

    server: Server
    tokens: dict[str, str]

    def headers(self, role: str | None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[role]}"} if role else {}


def account(store: Store, role: Role) -> AccountRow:
    """Somebody of the role, who signs in with PASSWORD."""
    _, secret = people.create(store, role, role.capitalize(), role, "test")
    return people.accept(store, secret, PASSWORD)


@pytest.fixture(scope="session")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    folder: Path = tmp_path_factory.mktemp("team")
    store = Store(f"duckdb:///{folder / 'attune.duckdb'}")
    tokens = {role: people.create_token(store, account(store, role).id, "test", "test") for role in ROLES}
    store.close()
    with serve(folder, ATTUNE_AUTH="password") as server:
        yield Team(server, tokens)
        assert "Traceback" not in server.log.read_text()


@dataclass(frozen=True)
class Learned:
    """The app with sign-in off and the sample project, on whose simulated votes about coding a model was trained (version
    1.0.0, which is deployed); it was calibrated anew (1.1.0) and evaluated on the others; ``jobs`` are these three as they ended. ``mapped`` is what the
    process had in memory before anybody asked for a score."""

    server: Server
    jobs: dict[str, dict[str, Any]]
    mapped: str

    @property
    def first(self) -> str:
        """The id of version 1.0.0."""
        return str(self.jobs["train-reward"]["model_id"])

    @property
    def second(self) -> str:
        return str(self.jobs["calibrate"]["model_id"])


def ended(client: httpx.Client, job_id: str, seconds: float = 300) -> dict[str, Any]:
    """The job once it has ended and was taken in."""
    end = time.monotonic() + seconds
    while (job := client.get(f"/jobs/{job_id}").json())["ended_at"] is None:
        assert time.monotonic() < end, f"the job did not end: {job}"
        time.sleep(0.1)
    return dict(job)


@pytest.fixture(scope="session")
def learned(tmp_path_factory: pytest.TempPathFactory, embeddings: Path) -> Iterator[Learned]:
    folder = tmp_path_factory.mktemp("learned")
    (folder / "embeddings").symlink_to(embeddings)
    store = Store(f"duckdb:///{folder / 'attune.duckdb'}")
    load_sample(store, Desks(store), "test")
    store.close()
    with (
        serve(folder, ATTUNE_REWARD_MINIMUM="15") as server,
        httpx.Client(base_url=f"{server.url}/api", timeout=120) as client,
    ):
        found: dict[str, dict[str, Any]] = {}
        for kind in ("train-reward", "calibrate", "evaluate"):
            chosen = {"name": "sample", "category": "coding", "policy": {"simulated": True}}
            if found:
                chosen = {"model": found["train-reward"]["model_id"]}
            started = client.post("/jobs", json={"kind": kind, **chosen})
            assert started.status_code == 201, started.text
            found[kind] = ended(client, started.json()["id"])
            assert found[kind]["state"] == "done", found[kind]
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        learned = Learned(server, found, mapped)
        assert client.post(f"/models/{learned.first}/deploy").is_success
        yield learned
        assert "Traceback" not in server.log.read_text()


@pytest.fixture
def asking(learned: Learned) -> Iterator[httpx.Client]:
    """A script that asks the app with the trained model."""
    with httpx.Client(base_url=f"{learned.server.url}/api", timeout=120) as client:
        yield client


def fresh_campaign_rows(tag: str, n: int) -> bytes:
    """A CSV of ``n`` pairs whose texts nobody else has."""
    rows = [f"{tag} question {i},{tag} answer {i},{tag} other answer {i}" for i in range(n)]
    return "\n".join(["prompt,response_a,response_b", *rows]).encode()
