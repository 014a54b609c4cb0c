"""A fresh store for each page test, and a visit to a page through the shell."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core.roles import Role
from storage import people
from storage.simulated import load_sample
from storage.workbench import Workbench, close, workbench

SHELL = Path(__file__).resolve().parents[2] / "pages" / "_shell.py"
Visit = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def scanned_once() -> Iterator[None]:
    """Streamlit looks for components in every installed package, a quarter of a second for each AppTest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests)
        )
        yield


@pytest.fixture
def bench(tmp_path: Path, embeddings: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """An empty store with sign-in off."""
    (tmp_path / "embeddings").symlink_to(embeddings)
    monkeypatch.setenv("ATTUNE_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("ATTUNE_AUTH", "off")
    monkeypatch.delenv("DATABASE_URL", raising=False)
    close()
    yield workbench()
    close()


@pytest.fixture
def sample(bench: Workbench) -> Workbench:
    """The store with the sample project in it."""
    load_sample(bench.store, bench.desks, "test")
    return bench


@pytest.fixture
def visit(bench: Workbench) -> Visit:
    """Opens a page through the shell: ``visit("people")``, or where one lands for None; "" gives no name, the rest is the address's query."""

    def open_page(page: str | None = None, name: str = "Ada", **query: str) -> AppTest:
        app = AppTest.from_file(str(SHELL), default_timeout=300)
        app.query_params |= query
        if name:
            app.session_state["name"] = name
        app.run()
        return app.switch_page(f"{page}.py").run() if page else app

    return open_page


@pytest.fixture
def sign_in(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> Callable[[Role], str]:
    """Turns sign-in on and signs the browser in as a new person of a role, named after it; returns their id."""

    def enter(role: Role) -> str:
        bench.settings.auth = "password"
        account, link = people.create(bench.store, role, f"The {role}", role, "test")
        people.accept(bench.store, link, "correct horse battery")
        secret = people.open_session(bench.store, account, 12)
        monkeypatch.setattr(ContextProxy, "cookies", {"attune_session": secret})
        return account.id

    return enter
