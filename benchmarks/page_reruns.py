"""How soon the pages answer a click in Chromium, the app at rest and with a training on both cores.

    python -m benchmarks.page_reruns [--rounds 5]

The store holds UKPConvArg1, 67,129 judgements of 13,458 pairs. Each click goes from one view to another, and its time ends
with the frame in which the new view is drawn and the old one gone.
"""

import os
import statistics
import tempfile
from argparse import ArgumentParser
from pathlib import Path

import httpx
from playwright.sync_api import Page, sync_playwright

from core.importing import read_judgements
from core.settings import load
from storage import campaigns, pairs
from storage.store import Store
from storage.workbench import Workbench
from tests.browser import find
from tests.serving import serve
from tests.ukp import ukp_rows

NAV, VIEW = "[data-testid=stSidebarNav] a", "[data-testid=stMain] [role=radio]"
CLICKS = [
    (NAV, "Jobs", "Nothing has run yet|One job computes", "pairs go out"),
    (NAV, "Agreement", "Krippendorff", "Nothing has run yet|One job computes"),
    (VIEW, "Disagreements", "Click a pair", "Krippendorff"),
    (VIEW, "Figures", "Krippendorff", "Click a pair"),
    (NAV, "Train", "Usable pairs", "Krippendorff"),
    (NAV, "Export", "pairs go out", "Usable pairs"),
]
"""Where to click, on which words, and which words then come and go."""
_TIME = """async ([where, words, comes, goes]) => {
  const link = [...document.querySelectorAll(where)].find(one => one.innerText.trim().endsWith(words));
  const begun = performance.now();
  link.click();
  while (performance.now() - begun < 30000) {
    await new Promise(requestAnimationFrame);
    const told = document.querySelector("[data-testid=stMain]").innerText;
    const tells = words => words.split("|").some(one => told.includes(one));
    if (tells(comes) && !tells(goes)) return performance.now() - begun;
  }
  throw new Error(`${words}: ${comes} did not come, or ${goes} stayed`);
}"""


def rounds(page: Page, n: int) -> list[list[float]]:
    """The milliseconds of each click, one list a round; the first round, in which everything is computed, is left out."""
    taken = []
    for _ in range(n + 1):
        taken.append([])
        for click in CLICKS:
            taken[-1].append(page.evaluate(_TIME, click))
            page.wait_for_timeout(1000)
    return taken[1:]


def main() -> None:
    """Print the median and the largest time of each click, at rest and beside a training."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    n = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = load(data_dir=Path(folder))
        bench = Workbench(settings, Store(settings.database_url))
        rows = read_judgements(ukp_rows(Path(os.environ.get("ATTUNE_TEST_DATA", "../shared/data"))))
        pairs.add_judged(
            bench.store, bench.desks, rows, campaigns.first(bench.store).id, "benchmark", source="ukp"
        )
        bench.store.close()
        chromium = playwright.chromium.launch(executable_path=find(), args=["--no-sandbox"])
        with serve(Path(folder)) as server:
            page = chromium.new_page(viewport={"width": 1440, "height": 900})
            page.goto(server.url)
            page.get_by_label("Your name").fill("Ada")
            page.keyboard.press("Enter")
            page.get_by_role("heading", name="Overview").wait_for()
            at_rest = rounds(page, n)
            job = {"kind": "train-reward", "name": "busy", "method": "transformer", "epochs": 100}
            started = httpx.post(f"{server.url}/api/jobs", json=job).raise_for_status().json()
            while httpx.get(f"{server.url}/api/jobs/{started['id']}").json()["phase"] != "training":
                page.wait_for_timeout(1000)
            busy = rounds(page, n)
            httpx.post(f"{server.url}/api/jobs/{started['id']}/cancel").raise_for_status()
        chromium.close()
    print(f"{'click':<16}{'at rest, ms':>14}{'training, ms':>14}{'largest':>9}{'ratio':>7}")
    for (_, words, _, _), calm, hard in zip(
        CLICKS, zip(*at_rest, strict=True), zip(*busy, strict=True), strict=True
    ):
        before, after = statistics.median(calm), statistics.median(hard)
        print(f"{words:<16}{before:>14.0f}{after:>14.0f}{max(hard):>9.0f}{after / before:>7.1f}")


if __name__ == "__main__":
    main()
