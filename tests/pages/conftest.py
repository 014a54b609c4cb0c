"""A store for each page test, copied from one that was filled once, and a visit to a page through the shell."""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import streamlit as st
from streamlit.components.v2 import manifest_scanner
from streamlit.runtime.context import ContextProxy
from streamlit.testing.v1 import AppTest

from core.roles import Role
from storage import people
from storage.simulated import load_sample
from storage.workbench import Workbench, close, workbench

SHELL = Path(__file__).resolve().parents[2] / "pages" / "_shell.py"
Visit = Callable[..., AppTest]
Filled = Callable[[Callable[[Workbench], object]], Path]


@pytest.fixture(scope="session", autouse=True)
def scanned_once() -> Iterator[None]:
    """Streamlit looks for components in every installed package, a quarter of a second for each AppTest."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests)
        )
        yield


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory, embeddings: Path) -> Filled:
    """The data folder of a store that a function has filled, which it does once."""

    @cache
    def folder(fill: Callable[[Workbench], object]) -> Path:
        made = tmp_path_factory.mktemp("filled")
        with pytest.MonkeyPatch.context() as patch:
            fill(_opened(made, embeddings, patch))
        close()
        return made

    return folder


def _opened(folder: Path, embeddings: Path, patch: pytest.MonkeyPatch) -> Workbench:
    (folder / "embeddings").symlink_to(embeddings)
    patch.setenv("ATTUNE_DATA_DIR", str(folder))
    patch.setenv("ATTUNE_AUTH", "off")
    patch.delenv("DATABASE_URL", raising=False)
    close()
    return workbench()


def nothing(bench: Workbench) -> None:
    """Leaves the store empty."""


@pytest.fixture(scope="session")
def sampled(filled: Filled) -> Path:
    return filled(lambda bench: load_sample(bench.store, bench.desks, "test"))


@pytest.fixture
def bench(
    request: pytest.FixtureRequest,
    filled: Filled,
    tmp_path: Path,
    embeddings: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Workbench]:
    """A store with sign-in off: a copy of the module's ``project`` or of ``sampled`` where the test has one of these, else empty."""
    given = [name for name in ("project", "sampled") if name in request.fixturenames]
    source = request.getfixturevalue(given[0]) if given else filled(nothing)
    shutil.copytree(source, tmp_path, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*embeddings*"))
    yield _opened(tmp_path, embeddings, monkeypatch)
    close()
    st.cache_resource.clear()


@pytest.fixture
def sample(sampled: Path, bench: Workbench) -> Workbench:
    """The store with the sample project in it."""
    return bench


@pytest.fixture
def visit(bench: Workbench) -> Visit:
    """Opens a page through the shell: ``visit("people")``, or where one lands for None; "" gives no name, the rest is the address's query."""

    def open_page(page: str | None = None, name: str = "Ada", **query: str) -> AppTest:
        app = AppTest.from_file(str(SHELL), default_timeout=300)
        app.query_params |= query
        if name:
            app.session_state["name"] = name
        if page is None or bench.settings.auth != "off":
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
