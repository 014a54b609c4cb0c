"""The app over real HTTP, started once for each way of signing in."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from core.roles import ROLES, Role
from storage import people
from storage.store import Store
from storage.tables import AccountRow
from tests.serving import Server, serve

PASSWORD = "correct horse battery"


@pytest.fixture(scope="session")
def off(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The app with sign-in off."""
    with serve(tmp_path_factory.mktemp("off"), ATTUNE_UPLOAD_MB="60") as server:
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


def fresh_campaign_rows(tag: str, n: int) -> bytes:
    """A CSV of ``n`` pairs whose texts nobody else has."""
    rows = [f"{tag} question {i},{tag} answer {i},{tag} other answer {i}" for i in range(n)]
    return "\n".join(["prompt,response_a,response_b", *rows]).encode()
