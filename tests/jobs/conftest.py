"""A store with a launcher that runs the tests' own worker."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import load
from jobs import ingest
from storage import jobs as job_rows
from storage.store import Store
from storage.workbench import Workbench
from tests.jobs.benches import with_test_worker


@pytest.fixture
def bench(tmp_path: Path, embeddings: Path) -> Iterator[Workbench]:
    settings = load(data_dir=tmp_path / "data")
    settings.data_dir.mkdir()
    (settings.data_dir / "embeddings").symlink_to(embeddings)
    bench = Workbench(settings, Store(settings.database_url))
    yield bench
    for job in job_rows.waiting(bench.store):
        if process := ingest.run_of(bench, job).process():
            process.kill()
    bench.store.close()


@pytest.fixture
def jobs_bench(bench: Workbench) -> Workbench:
    return with_test_worker(bench)
