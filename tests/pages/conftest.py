"""A fresh store for each page test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.simulated import load_sample
from storage.workbench import Workbench, close, workbench


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
