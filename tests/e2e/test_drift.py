"""From the Overview to what changed between two weeks of a real crowd, to a pair and to the report, in a real browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from core.importing import read_judgements
from core.settings import load
from storage import campaigns, pairs
from storage.store import Store
from storage.workbench import Workbench
from tests.e2e.conftest import NewTab
from tests.e2e.walking import settled, view
from tests.serving import Server, serve
from tests.ukp import ukp_rows

RUN = 90_000
"""Milliseconds for a run on a busy machine: most of it is the import of umap."""
WENT, CAME = ("firefox", "ban-plastic"), ("pro-choice", "tv-is-better")
HEAVY = ("llvmlite", "hdbscan", "torch")
"""Libraries that a process maps once it has imported umap, hdbscan or torch."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Iterator[Server]:
    """The app with UKPConvArg1's judgements of two debates in one week, and of two others in the next."""
    folder = tmp_path_factory.mktemp("drift")
    rows = [
        (n, row)
        for n, row in ukp_rows(shared_data)
        if "2016-02-01" <= str(row["submitted_at"]) < "2016-02-15" and str(row["pair_id"]).startswith((*WENT, *CAME))
    ]  # fmt: skip
    settings = load(data_dir=folder)
    bench = Workbench(settings, Store(settings.database_url))
    pairs.add_judged(
        bench.store, bench.desks, read_judgements(rows), campaigns.first(bench.store).id, "test", source="ukp"
    )
    bench.store.close()
    with serve(folder) as running:
        yield running


@pytest.fixture(scope="module")
def lead(server: Server, new_tab: NewTab) -> Page:
    """A lead on the Overview."""
    page = new_tab()
    page.goto(server.url)
    page.get_by_label("Your name").fill("Lea")
    page.get_by_role("button", name="Start").click()
    page.get_by_role("heading", name="Overview").wait_for()
    settled(page)
    return page


def test_from_the_overview_to_a_run_to_a_cluster_to_a_pair_to_the_report(lead: Page, server: Server) -> None:
    page, main = lead, lead.get_by_test_id("stMain")
    step = page.locator(".st-key-steps-later [data-testid=stHorizontalBlock], [class*='st-key-step-']")
    step.filter(has_text="Compare two weeks").get_by_role("link", name="Open").click()
    page.get_by_role("heading", name="Drift").wait_for()
    settled(page)
    expect(main).to_contain_text("2016-02-01 to 2016-02-07")

    main.get_by_role("radio", name="Answers").click()
    main.get_by_role("radio", name="By words").click()
    settled(page)
    main.get_by_role("button", name="Compare the windows").click()
    expect(main.get_by_test_id("stProgress")).to_be_visible()
    expect(main).to_contain_text("clusters came, went, grew or shrank", timeout=RUN)
    settled(page)
    expect(main.get_by_test_id("stPlotlyChart")).to_be_visible()

    main.get_by_test_id("stDataFrame").first.click(position={"x": 60, "y": 52})
    expect(main).to_contain_text(re.compile(r"\d+ in cluster \d+"))
    settled(page)
    main.get_by_test_id("stDataFrame").last.click(position={"x": 60, "y": 52})
    expect(main).to_contain_text(re.compile(r"Votes: "))
    settled(page)

    for name in ("Clusters", "Tests"):
        view(page, name)
        expect(
            main.get_by_test_id("stPlotlyChart").or_(main.get_by_test_id("stDataFrame")).first
        ).to_be_visible()
    with page.expect_download() as report:
        main.get_by_role("button", name="Report (HTML)").click()
    told = report.value.path().read_text("utf-8")
    assert "<h1>Drift of answers" in told and "2016-02-01" in told and "<script" not in told

    mapped = Path(f"/proc/{server.process.pid}/maps")
    if mapped.exists():
        assert not [name for name in HEAVY if name in mapped.read_text()], "only jobs import these"
