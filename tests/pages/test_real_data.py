"""UKPConvArg1 on the pages that tell of people: what is known of it from elsewhere, found, and shown while one waits."""

import re
import time
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from core.importing import read_judgements, read_pairs
from storage import campaigns, pairs
from storage.workbench import Workbench
from tests.ukp import ukp_gold, ukp_rows

PAGES = Path(__file__).resolve().parents[2] / "pages"
SPAN = r"\*\*([\d.]+)\*\* \(([\d.]+) to ([\d.]+)\)"


def timed(bench: Workbench, at: AppTest) -> str:
    """How long the page takes when the store has changed, and when it has not."""
    seconds = []
    for change in (1, 0):
        bench.store.revision += change
        begin = time.perf_counter()
        at.run()
        seconds.append(time.perf_counter() - begin)
    assert not at.exception
    return f"{seconds[0]:.2f} s, then {seconds[1]:.2f} s"


def test_ukp_is_told_right(bench: Workbench, shared_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here = campaigns.first(bench.store).id
    rows = read_judgements(ukp_rows(shared_data))
    pairs.add_judged(bench.store, bench.desks, rows, here, "test", source="ukp")
    gold = read_pairs(ukp_gold(shared_data), "trl")
    pairs.add(bench.store, bench.desks, gold, here, "test", source="strict", labels="gold")
    told = {}
    for name in ("bias", "annotators"):
        at = AppTest.from_file(str(PAGES / f"{name}.py"), default_timeout=300)
        at.session_state["name"] = "Ada"
        told[name] = timed(bench, at.run())
        if name == "bias":
            text = "\n".join(markdown.value for markdown in at.markdown)
            for what, n in (("clear", 8665), ("gold", 9154)):
                found = re.search(rf"{SPAN} of ([\d,]+) {what} pairs", text)
                assert found, text
                value, low, high = map(float, found.groups()[:3])
                assert value == pytest.approx(0.77, abs=0.01) and low <= 0.77 <= high and high - low < 0.07
                assert int(found[4].replace(",", "")) == n
            assert "The longer answer is preferred in **0.685** (0.653 to 0.715) of 51,497 judgements" in text
        else:
            table = at.dataframe[0].value
            assert len(table) == 3788 and table["Right on gold"].str.contains("to").sum() > 3000
            assert "w1623" in list(table["Annotator"][:3])
    with capsys.disabled():
        print(
            f"\n67,129 judgements by 3,788 annotators: Bias {told['bias']}; Annotators {told['annotators']}"
        )
