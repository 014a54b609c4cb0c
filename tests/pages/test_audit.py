"""The audit: filters, pages, the download, and names for ids."""

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from io import StringIO

import pytest
from streamlit.testing.v1 import AppTest

from core.judging import Verdict
from core.queueing import Lease
from storage import audits, campaigns, jobs, people, prompts
from storage.audits import Filter
from storage.simulated import load_sample
from storage.store import audit
from storage.tables import CampaignRow, JobRow
from storage.workbench import Workbench

Visit = Callable[..., AppTest]


@pytest.fixture
def entries(bench: Workbench) -> Workbench:
    """120 entries of Ada, the first of them her own making, and 3 of the app itself."""
    ada = people.annotator(bench.store, "Ada")
    with bench.store.writing() as session:
        for number in range(119):
            audit(session, ada.id, "update", "campaign", f"c_{number % 4}", number=number)
        for _ in range(3):
            audit(session, "attune", "ingest", "job", "j_1", note='=1+1, "quoted"\nand a line')
    return bench


def test_pages_of_what_matches_newest_first(entries: Workbench) -> None:
    rows, total = audits.page(entries.store, Filter(), offset=100, limit=50)
    assert (len(rows), total) == (23, 123)
    times = [row["occurred_at"] for row in audits.page(entries.store, Filter(), limit=123)[0]]
    assert times == sorted(times, reverse=True)


@pytest.mark.parametrize(
    ("wanted", "total"),
    [
        (Filter(actor="Ada"), 120),
        (Filter(actor="attune"), 3),
        (Filter(action="ingest"), 3),
        (Filter(record="campaign"), 119),
        (Filter(record=" c_1 "), 30),
        (Filter(actor="Ada", action="ingest"), 0),
        (Filter(first=datetime.now(UTC).date() - timedelta(days=1)), 123),
        (Filter(last=date(2000, 1, 1)), 0),
        (Filter(record="'; DROP TABLE audit; --"), 0),
    ],
)
def test_filters(entries: Workbench, wanted: Filter, total: int) -> None:
    assert audits.page(entries.store, wanted)[1] == total


def test_the_download_holds_every_entry_that_matches(entries: Workbench) -> None:
    rows = list(csv.DictReader(StringIO(audits.to_csv(entries.store, Filter(action="ingest")).decode())))
    assert [row["actor"] for row in rows] == ["attune"] * 3
    assert "\\nand a line" in rows[0]["detail"]


def test_the_page_filters_and_turns(visit: Visit, entries: Workbench) -> None:
    app = visit("audit")
    assert len(app.dataframe[0].value) == 50
    assert any("1 to 50 of 124" in caption.value for caption in app.caption)
    app.selectbox(key="did").set_value("ingest").run()
    assert list(app.dataframe[0].value["actor"]) == ["attune"] * 3
    app.selectbox(key="who").set_value("Ada").run()
    assert app.info[0].value == "Nothing matches."
    assert not app.exception


def test_what_people_judge_is_audited_and_what_is_imported_once(bench: Workbench) -> None:
    sample = load_sample(bench.store, bench.desks, "test")
    ada = people.annotator(bench.store, "Ada").id
    desk = bench.desks[sample.id]
    lease = desk.next(ada, datetime.now(UTC))
    assert isinstance(lease, Lease)
    first = desk.submit(
        ada, lease.pair_id, Verdict("a"), datetime.now(UTC), source="person", lease_id=lease.id
    )
    second = desk.edit(ada, first.id, Verdict("b"), datetime.now(UTC), source="person")
    desk.retract(ada, second.id, datetime.now(UTC))
    rows, total = audits.page(bench.store, Filter(record="annotation"))
    assert [(row["action"], row["actor"]) for row in rows] == [
        ("undo", "Ada"),
        ("edit", "Ada"),
        ("annotate", "Ada"),
    ]
    detail = json.loads(rows[2]["detail"])
    assert detail["pair"] == lease.pair_id and detail["preferred"] == first.preferred_id
    assert json.loads(rows[1]["detail"])["supersedes"] == first.id
    assert audits.page(bench.store, Filter(record=lease.pair_id))[1] == total == 3
    assert {"annotate", "edit", "undo"} <= set(audits.choices(bench.store)[1])
    assert audits.page(bench.store, Filter(action="simulate"))[1] == 1, "216 judgements, one entry"


def test_it_is_narrowed_to_what_is_of_a_campaign(visit: Visit, bench: Workbench) -> None:
    sample = load_sample(bench.store, bench.desks, "test")
    other = campaigns.create(bench.store, CampaignRow(id="", name="Other"), "test")
    jobs.add(
        bench.store,
        JobRow(
            id="j1", kind="score", label="x", actor="test", campaign_id=other.id, created_at=datetime.now(UTC)
        ),
    )
    [(prompt, *_)] = bench.store.rows("SELECT min(id) FROM prompt")
    prompts.edit(bench.store, [prompt], "test", tags=["seen"])

    def done(campaign: str) -> set[tuple[str, str]]:
        rows, _ = audits.page(bench.store, Filter(campaign_id=campaign))
        return {(row["action"], row["record_type"]) for row in rows}

    assert done(other.id) == {("create", "campaign"), ("start", "job")}
    assert done(sample.id) == {
        ("create", "campaign"), ("update", "campaign"), ("add", "pair"), ("simulate", "campaign"), ("edit", "prompt"),
    }  # fmt: skip
    app = visit("audit")
    everything = len(app.dataframe[0].value)
    app.toggle[0].set_value(True).run()
    assert len(app.dataframe[0].value) < everything and "job" not in set(
        app.dataframe[0].value["record_type"]
    )
