"""The Jobs page in every state a job can be in, and the word on a job's end on any page."""

import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.roles import Role
from jobs import ingest
from storage import audits, campaigns, people
from storage import jobs as job_rows
from storage.tables import JobRow
from storage.workbench import Workbench

Visit = Callable[..., AppTest]
WORKER = Path(__file__).resolve().parents[1] / "jobs" / "worker.py"
LONG = {"how": "well", "steps": 600, "pause": 0.1}


@pytest.fixture(autouse=True)
def ada(bench: Workbench, monkeypatch: pytest.MonkeyPatch) -> str:
    """Ada's id; jobs are carried out by the tests' worker."""
    monkeypatch.setattr(ingest.launcher(bench.settings.runs_dir), "command", [sys.executable, str(WORKER)])
    return people.annotator(bench.store, "Ada").id


def queue(
    bench: Workbench, actor: str, label: str = "helpful", kind: str = "score", **told: object
) -> JobRow:
    return ingest.start(bench, kind, label, actor, None, {"how": "well", **told}, lambda run: None)


def until(bench: Workbench, job: JobRow, *states: str) -> None:
    late = time.monotonic() + 120
    while (now := ingest.status(bench, job)).state not in states:
        assert time.monotonic() < late, now
        time.sleep(0.02)
    if now.state not in ("queued", "running"):
        ingest.take_in(bench)


def said(app: AppTest) -> str:
    assert not app.exception
    shown = [*app.markdown, *app.caption, *app.info, *app.toast]
    return "\n".join(element.value for element in shown).replace("\\", "")


def actions(app: AppTest) -> list[str]:
    return [one.label for one in app.button if one.label not in ("Change name", "Show more")]


def press(app: AppTest, label: str) -> AppTest:
    app = next(one for one in app.button if one.label == label).click().run()
    assert not app.exception
    return app


def test_an_empty_store_says_what_runs_here(visit: Visit) -> None:
    assert "Nothing has run yet" in said(visit("job_queue"))


def test_a_job_that_is_done_says_who_ran_it_and_how_long_it_took(
    visit: Visit, bench: Workbench, ada: str
) -> None:
    until(bench, queue(bench, ada, "helpful 1.0.0"), "done")
    app = visit("job_queue")
    assert "**helpful 1.0.0** :green-badge[:material/check: done]" in said(app)
    assert "Scoring · Ada · " in said(app) and " · took " in said(app)
    assert actions(app) == []


def test_a_failed_job_says_why_and_goes_on(visit: Visit, bench: Workbench, ada: str) -> None:
    job = queue(bench, ada, how="raise")
    until(bench, job, "failed")
    app = visit("job_queue")
    assert "The third layer has no weights" in said(app)
    press(app, "Go on")
    until(bench, job, "failed")
    [*_, resumed] = audits.page(bench.store, audits.Filter(action="resume"))[0]
    assert resumed["record_id"] == job.id


def test_the_log_is_shown_when_asked_for(visit: Visit, bench: Workbench, ada: str) -> None:
    until(bench, queue(bench, ada, how="raise"), "failed")
    app = visit("job_queue")
    assert not app.code
    app.button_group(key=f"show {ingest.listed(bench)[0][0].id}").set_value("Log").run()
    assert "ValueError: The third layer has no weights." in app.code[0].value


def test_a_running_job_tells_its_progress_and_can_be_cancelled(
    visit: Visit, bench: Workbench, ada: str
) -> None:
    job = queue(bench, ada, **LONG)
    late = time.monotonic() + 120
    while not ingest.status(bench, job).done:
        assert time.monotonic() < late
        time.sleep(0.05)
    app = visit("job_queue")
    assert "of 600 done · about " in app.get("progress")[0].text
    press(app, "Cancel")
    until(bench, job, "cancelled")
    assert "It was asked to stop." in said(app.run()) and actions(app) == ["Go on"]


def test_those_that_wait_say_their_place_and_one_may_go_first(
    visit: Visit, bench: Workbench, ada: str
) -> None:
    jobs = [queue(bench, ada, f"job {n}", **LONG) for n in range(3)]
    until(bench, jobs[0], "running")
    app = visit("job_queue")
    assert "UTC · next" in said(app) and "number 2 in the queue" in said(app)
    press(app, "Start next")
    assert [job.id for job in job_rows.waiting(bench.store)] == [jobs[2].id, jobs[0].id, jobs[1].id]
    assert "number 2 in the queue" in said(app)
    for job in jobs:
        ingest.cancel(bench, job, ada)
        until(bench, job, "cancelled")


def test_kinds_narrow_the_list(visit: Visit, bench: Workbench, ada: str) -> None:
    until(bench, queue(bench, ada), "done")
    app = visit("job_queue")
    app.button_group(key="jobs kinds").set_value(["calibrate"]).run()
    assert "No such job" in said(app)
    app.button_group(key="jobs kinds").set_value(["score"]).run()
    assert "**helpful**" in said(app)


def test_a_campaign_narrows_the_list_here_and_elsewhere(visit: Visit, bench: Workbench, ada: str) -> None:
    here = campaigns.first(bench.store)
    for label, campaign_id in (("of all", None), ("of here", here.id)):
        until(
            bench,
            ingest.start(bench, "score", label, ada, campaign_id, {"how": "well"}, lambda run: None),
            "done",
        )
    app = visit("job_queue")
    assert "**of all**" in said(app) and "**of here**" in said(app)
    app.toggle(key="only this campaign").set_value(True).run()
    assert "**of all**" not in said(app) and "**of here**" in said(app)
    app.switch_page("audit.py").run()
    assert app.toggle(key="only this campaign").value


def test_a_job_whose_run_directory_is_gone_cannot_go_on(visit: Visit, bench: Workbench, ada: str) -> None:
    job = queue(bench, ada, how="raise")
    until(bench, job, "failed")
    shutil.rmtree(ingest.run_of(bench, job).path)
    app = visit("job_queue")
    assert "failed]" in said(app) and actions(app) == []


def test_more_are_shown_when_asked_for(visit: Visit, bench: Workbench, ada: str) -> None:
    for n in range(12):
        job = queue(bench, ada, f"job {n}")
        ingest.cancel(bench, job, ada)
        until(bench, job, "cancelled", "done")
    app = visit("job_queue")
    assert "**job 2**" in said(app) and "**job 1**" not in said(app)
    press(app, "Show more")
    assert "**job 0**" in said(app)


def test_a_researcher_looks_and_a_lead_acts(
    visit: Visit, bench: Workbench, ada: str, sign_in: Callable[[Role], str]
) -> None:
    job = queue(bench, ada, **LONG)
    sign_in("researcher")
    app = visit("job_queue", name="")
    assert "**helpful**" in said(app) and actions(app) == []
    sign_in("lead")
    press(visit("job_queue", name=""), "Cancel")
    until(bench, job, "cancelled")


def test_an_annotator_does_not_get_in(visit: Visit, sign_in: Callable[[Role], str]) -> None:
    sign_in("annotator")
    app = AppTest.from_file(
        str(Path(__file__).resolve().parents[2] / "pages" / "job_queue.py"), default_timeout=300
    ).run()
    assert "for the role researcher" in app.warning[0].value
    assert not app.title


def test_the_end_of_my_job_is_told_once_on_whatever_page_i_am(
    visit: Visit, bench: Workbench, ada: str
) -> None:
    app = visit("prompts")
    until(bench, queue(bench, ada, "helpful"), "done")
    until(bench, queue(bench, "somebody else", "harmless"), "done")
    assert [toast.value for toast in app.run().toast] == ["Scoring is done: helpful"]
    assert not app.run().toast
    until(bench, queue(bench, ada, how="raise"), "failed")
    assert [toast.value for toast in app.switch_page("pairs.py").run().toast] == [
        "Scoring has failed: helpful"
    ]
