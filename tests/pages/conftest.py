"""A fresh store for each page test, and a visit to a page through the shell."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core.roles import Role
from storage import people
from storage.simulated import load_sample
from storage.workbench import Workbench, close, workbench

SHELL = Path(__file__).resolve().parents[2] / "pages" / "_shell.py"
Visit = Callable[..., AppTest]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Workbench]:
    """An empty store with sign-in off."""
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
        app = AppTest.from_file(str(SHELL), default_timeout=60)
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
