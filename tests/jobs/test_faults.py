"""What goes wrong with jobs, each with real processes: the worker, the app or both killed, disks full, files spoilt."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from core.settings import load
from jobs import ingest
from jobs.protocol import JobError, Run, metrics
from storage import jobs as job_rows
from storage.store import Store
from storage.tables import JobRow
from storage.workbench import Workbench
from tests.jobs.benches import ended, queue, steps, stored, until, with_test_worker

APP = Path(__file__).with_name("app.py")


def kill_worker(bench: Workbench, job: JobRow) -> None:
    process = ingest.run_of(bench, job).process()
    assert process is not None
    process.kill()


def test_a_worker_killed_fails_its_job_and_goes_on_when_asked(jobs_bench: Workbench) -> None:
    job = queue(jobs_bench, how="steps", steps=100)
    run = ingest.run_of(jobs_bench, job)
    until(lambda: steps(run) > 2)
    kill_worker(jobs_bench, job)
    row, status = ended(jobs_bench, job)
    assert (row.state, status.state) == ("failed", "failed")
    assert row.ended_at is not None
    assert status.reason is not None and "SIGKILL" in status.reason and "Start it again" in status.reason
    ingest.launcher.cache_clear()
    with_test_worker(jobs_bench)
    assert ingest.status(jobs_bench, row).reason == status.reason, "an app that starts later says the same"

    ingest.resume(jobs_bench, job, "ann")
    assert stored(jobs_bench, job).state is None
    row, status = ended(jobs_bench, job)
    assert (row.state, status.result and status.result["steps"]) == ("done", 100)


def gone(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


class App:
    """The app in a process of its own, with the jobs it queues at the start."""

    def __init__(self, data_dir: Path, *jobs: dict[str, object]) -> None:
        self.data_dir = data_dir
        data_dir.mkdir()
        with (data_dir / "app.log").open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(APP), str(data_dir), json.dumps(jobs)], stdout=log, stderr=log
            )

    @property
    def runs(self) -> list[Run]:
        found = [Run(path) for path in (self.data_dir / "runs").glob("job_*") if (path / "job.json").exists()]
        return sorted(found, key=lambda run: run.job()["created_at"])

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def next(self) -> Workbench:
        settings = load(data_dir=self.data_dir)
        return with_test_worker(Workbench(settings, Store(settings.database_url)))


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """One job that runs until it is let go, one that waits for its slot."""
    app = App(tmp_path / "data", {"how": "wait to be let go", "steps": 5}, {"how": "steps", "steps": 2})
    until(lambda: (len(app.runs) == 2 and steps(app.runs[0]) == 5) or app.process.poll() is not None)
    yield app
    app.kill()


def test_the_next_app_adopts_the_jobs_of_one_that_was_killed(app: App) -> None:
    app.kill()
    first, second = app.runs
    assert first.process() is not None, "a job outlives its app"
    bench = app.next()
    jobs = {job.id: job for job in job_rows.waiting(bench.store)}
    assert [ingest.status(bench, jobs[run.id]).state for run in (first, second)] == ["running", "queued"]
    (first.path / "go").touch()
    with ingest.watch(bench):
        until(lambda: not job_rows.waiting(bench.store))
    for run, done in ((first, 5), (second, 2)):
        row = stored(bench, jobs[run.id])
        assert (row.state, ingest.status(bench, row).done) == ("done", done)
    assert steps(first) == 5, "it ran once"
    bench.store.close()


def test_a_job_that_ended_while_no_app_was_there_is_taken_in(app: App) -> None:
    app.kill()
    first = app.runs[0]
    (first.path / "go").touch()
    until(lambda: first.result())
    bench = app.next()
    assert ingest.take_in(bench) == [first.id]
    assert ingest.take_in(bench) == []
    bench.store.close()


def test_app_and_worker_killed(app: App) -> None:
    worker = app.runs[0].process()
    assert worker is not None
    app.kill()
    worker.kill()
    bench = app.next()
    jobs = {job.id: job for job in job_rows.waiting(bench.store)}
    (failed, status), (waited, _) = (ended(bench, jobs[run.id]) for run in app.runs)
    assert (failed.state, waited.state) == ("failed", "done")
    assert status.reason is not None and "Its process is gone" in status.reason
    bench.store.close()


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this account may not mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_full_disk(tiny_disk: Path, tmp_path: Path) -> None:
    settings = load(data_dir=tiny_disk, database_url=f"duckdb:///{tmp_path}/store.duckdb")
    bench = with_test_worker(Workbench(settings, Store(settings.database_url)))
    job = queue(bench, how="fill the disk")
    row, status = ended(bench, job)
    assert row.state == "failed"
    assert status.reason is not None and status.reason.startswith("The disk is full. Free some space")
    assert status.result is not None, "there was room for the result"
    assert "No space left" in ingest.run_of(bench, job).log()
    bench.store.close()


def test_a_quota(jobs_bench: Workbench) -> None:
    row, status = ended(jobs_bench, queue(jobs_bench, how="fill the disk", limit=200_000))
    assert row.state == "failed"
    assert status.reason is not None and status.reason.startswith("The disk is full. Free some space")


def test_a_disk_without_any_room_says_so_although_the_worker_cannot(tiny_disk: Path, tmp_path: Path) -> None:
    settings = load(data_dir=tiny_disk, database_url=f"duckdb:///{tmp_path}/store.duckdb")
    bench = with_test_worker(Workbench(settings, Store(settings.database_url)))
    job = queue(bench, how="steps", steps=10_000)
    until(lambda: steps(ingest.run_of(bench, job)) > 1)
    filler = tiny_disk / "somebody else's"
    with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    until(lambda: ingest.status(bench, job).state == "failed", bench)
    assert not ingest.cancel(bench, job, "ann")
    reason = ingest.status(bench, job).reason
    assert reason is not None and reason.startswith("The disk is full.")
    filler.unlink()
    assert ended(bench, job)[0].state == "failed"
    bench.store.close()


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ("raise", "ValueError: The third layer has no weights. The log has more."),
        ("want of memory", "Memory ran out. Take a smaller batch"),
        ("spoil the result", "Its result.json cannot be read."),
        ("half a line", "SIGKILL"),
    ],
)
def test_a_job_that_fails_says_why(jobs_bench: Workbench, how: str, says: str) -> None:
    row, status = ended(jobs_bench, queue(jobs_bench, how=how))
    assert row.state == "failed"
    assert status.reason is not None and says in status.reason


@pytest.fixture
def little_memory() -> Iterator[Path]:
    """A control group whose processes may have 64 MiB; the system kills one that takes more."""
    for root, limit in (("memory", "memory.limit_in_bytes"), ("", "memory.max")):
        group = Path("/sys/fs/cgroup", root, f"attune-test-{os.getpid()}")
        try:
            group.mkdir()
        except OSError:
            continue
        try:
            (group / limit).write_text(str(64 * 2**20))
            yield group
            return
        except OSError:
            continue
        finally:
            group.rmdir()
    pytest.skip("this account may not limit the memory of a process")


def test_a_worker_that_the_system_ends_for_want_of_memory(jobs_bench: Workbench, little_memory: Path) -> None:
    job = queue(jobs_bench, how="take more and more memory", steps=10_000)
    process = ingest.run_of(jobs_bench, job).process()
    assert process is not None
    (little_memory / "cgroup.procs").write_text(str(process.pid))
    row, status = ended(jobs_bench, job)
    assert row.state == "failed"
    assert status.reason is not None and status.reason.startswith("Memory ran out. Take a smaller batch")


def test_a_kill_that_the_system_counted_as_one_for_want_of_memory(jobs_bench: Workbench) -> None:
    """Where no memory can be limited: one kill fewer was counted when the job began."""
    job = queue(jobs_bench, how="steps", steps=10_000)
    run = ingest.run_of(jobs_bench, job)
    until(lambda: steps(run))
    told = json.loads(run.process_file.read_text())
    run.process_file.write_text(json.dumps({**told, "oom_kills": told["oom_kills"] - 1}))
    kill_worker(jobs_bench, job)
    _, status = ended(jobs_bench, job)
    assert status.reason is not None and status.reason.startswith("Memory ran out. Take a smaller batch")


def test_half_a_line_is_not_read_and_the_next_run_writes_behind_it(jobs_bench: Workbench) -> None:
    job = queue(jobs_bench, how="half a line")
    run = ingest.run_of(jobs_bench, job)
    _, status = ended(jobs_bench, job)
    assert (status.done, len(metrics(run))) == (2, 2)
    run.job_file.write_text(run.job_file.read_text().replace("half a line", "steps"))
    ingest.resume(jobs_bench, job, "ann")
    _, status = ended(jobs_bench, job)
    assert (status.state, status.done, len(metrics(run))) == ("done", 3, 5)


@pytest.mark.parametrize("seconds", [0.0, 0.02, 0.06, 0.1, 0.15, 0.2, 0.3])
def test_cancelled_at_once(jobs_bench: Workbench, seconds: float) -> None:
    """Before its process has begun, while Python starts, as the work begins: it ends as cancelled every time."""
    job = queue(jobs_bench, how="steps", steps=10_000)
    time.sleep(seconds)
    ingest.cancel(jobs_bench, job, "ann")
    row, status = ended(jobs_bench, job)
    assert (row.state, status.state) == ("cancelled", "cancelled")
    assert status.reason == "It was asked to stop."
    run = ingest.run_of(jobs_bench, job)
    until(lambda: run.process() is None)
    assert run.result() is not None


def test_a_job_that_is_done_cannot_be_cancelled_although_its_process_is_still_there(
    jobs_bench: Workbench,
) -> None:
    job = queue(jobs_bench, how="leave slowly")
    until(lambda: ingest.status(jobs_bench, job).state == "done")
    assert ingest.run_of(jobs_bench, job).process() is not None
    assert not ingest.cancel(jobs_bench, job, "ann")
    assert ended(jobs_bench, job)[0].state == "done"


def test_a_job_that_does_not_listen_is_killed_and_its_children_too(jobs_bench: Workbench) -> None:
    job = queue(jobs_bench, how="deaf", steps=10_000)
    run = ingest.run_of(jobs_bench, job)
    until(lambda: steps(run))
    process = run.process()
    assert process is not None
    (child,) = process.children()
    ingest.launcher(jobs_bench.settings.runs_dir).stop(run, grace=0.3)
    time.sleep(0.1)
    assert not ingest.cancel(jobs_bench, job, "ann"), "a second request gives it no more time"
    status = ingest.status(jobs_bench, job)
    assert (status.state, status.reason) == ("running", "It was asked to stop.")
    row, status = ended(jobs_bench, job)
    assert row.state == "cancelled"
    assert status.reason == "It was asked to stop. It did not stop in time and was killed."
    until(lambda: gone(process) and gone(child))


def test_a_time_limit_asks_first_and_keeps_the_checkpoint(jobs_bench: Workbench) -> None:
    job = queue(jobs_bench, how="steps", steps=10_000, time_limit=3600)
    until(lambda: steps(ingest.run_of(jobs_bench, job)), jobs_bench)
    with jobs_bench.store.writing() as session:
        session.get_one(JobRow, job.id).time_limit = 0.01
    row, status = ended(jobs_bench, job)
    assert row.state == "failed"
    assert (
        status.reason
        == "It reached its time limit of 0:00:00.010000. Start it again to go on where it stopped."
    )
    assert status.result is not None and 0 < status.result["steps"] < 10_000
    assert (ingest.run_of(jobs_bench, job).artifacts / "checkpoint").exists()


def test_one_app_asks_and_the_next_kills(app: App) -> None:
    """What was asked of a worker stands in its run directory, so that no restart lets it off."""
    app.kill()
    bench = app.next()
    job = queue(bench, "deaf", how="deaf", steps=10_000, priority=9)
    (first, *_) = (job for job in job_rows.waiting(bench.store) if job.label == "0")
    (ingest.run_of(bench, first).path / "go").touch()
    ended(bench, first)
    run = ingest.run_of(bench, job)
    until(lambda: steps(run), bench)
    ingest.launcher(bench.settings.runs_dir).stop(run, "failed", "It took too long.", grace=0.2)
    bench.store.close()
    ingest.launcher.cache_clear()
    bench = app.next()
    row, status = ended(bench, job)
    assert row.state == "failed"
    assert status.reason == "It took too long. It did not stop in time and was killed."
    bench.store.close()


def test_run_directories_deleted_by_hand(jobs_bench: Workbench) -> None:
    done = queue(jobs_bench, how="steps")
    assert ended(jobs_bench, done)[0].state == "done"
    running, queued = queue(jobs_bench, how="steps", steps=10_000), queue(jobs_bench, how="steps")
    run = ingest.run_of(jobs_bench, running)
    until(lambda: steps(run))
    process = run.process()
    assert process is not None
    for job in (done, running, queued):
        shutil.rmtree(ingest.run_of(jobs_bench, job).path, ignore_errors=True)
    rows = {job.id: ended(jobs_bench, job) for job in (done, running, queued)}
    assert [(row.state, status.state) for row, status in rows.values()] == [
        ("done", "done"),
        ("failed", "failed"),
        ("failed", "failed"),
    ]
    assert {status.reason for _, status in rows.values()} == {"Its run directory is gone."}
    until(lambda: gone(process), jobs_bench)
    assert len(ingest.listed(jobs_bench)) == 3
    with pytest.raises(JobError, match="is failed: its run directory is gone"):
        ingest.resume(jobs_bench, running, "ann")
