"""The Calibration page: its figures are those of the core on pairs the model has not seen; bins lead to pairs; empty states."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from streamlit.testing.v1 import AppTest

from core.calibration import NAMES, report
from core.calibrators import fit
from pages import _held_out
from storage import models
from storage.tables import ProbeRow
from storage.workbench import Workbench
from tests.pages.registered import judged, version

PAGES = Path(__file__).resolve().parents[2] / "pages"
VIEWS = ("Reliability", "Figures", "Confidence and risk", "By category", "Over time")


def opened(view: str = "Reliability", name: str = "Ada", **state: Any) -> AppTest:
    at = AppTest.from_file(str(PAGES / "_shell.py"), default_timeout=300)
    at.session_state["name"] = name
    at.session_state["calibration view"] = view
    for key, value in state.items():
        at.session_state[key] = value
    return at.run().switch_page("calibration.py").run()


def shown(at: AppTest) -> str:
    found = [*at.markdown, *at.caption, *at.info, *at.warning]
    return "\n".join(element.value for element in found)


@pytest.fixture
def loud(bench: Workbench) -> Workbench:
    """A version that is three times too sure of itself, and 600 judged pairs."""
    judged(bench)
    version(bench, scale=3.0)
    return bench


def test_without_a_model_it_says_to_train_one(bench: Workbench) -> None:
    at = opened()
    assert not at.exception
    assert "There is no model yet" in at.info[0].value


def test_a_version_without_held_out_votes_says_what_to_do(bench: Workbench) -> None:
    judged(bench, 80)
    version(bench, parts=("train",))
    at = opened()
    assert not at.exception
    assert (
        "has predicted no pair that it had not seen" in at.info[0].value and "100 or more" in at.info[0].value
    )


def test_few_held_out_pairs_are_counted_and_how_many_are_missing(bench: Workbench) -> None:
    judged(bench, 200)
    version(bench)
    at = opened()
    n = len(_held_out.held_out(bench.store, models.listed(bench.store)[0].id))
    assert 0 < n < 100
    assert f"Only {n} held-out pairs have votes; {100 - n} more" in at.warning[0].value


@pytest.mark.parametrize("view", VIEWS)
def test_every_view_draws(loud: Workbench, view: str) -> None:
    at = opened(view)
    assert not at.exception and not at.error
    assert view == "Figures" or at.get("plotly_chart")
    assert any("Calibrator: none" in text.value for text in at.markdown)


def test_pairs_are_turned_by_the_score_and_never_by_the_votes(loud: Workbench) -> None:
    """Turning every stored pair around changes nothing that the page tells."""
    model = models.listed(loud.store)[0]
    table = models.predictions(loud.store, model.id)
    turned = pa.table(
        {
            **{name: table[name] for name in table.column_names},
            "raw": pa.array(-table["raw"].to_numpy()),
            "probability": pa.array(1 - table["probability"].to_numpy()),
            "now": pa.array(1 - table["now"].to_numpy()),
        }
    )
    one, other = _held_out.HeldOut.of(table), _held_out.HeldOut.of(turned)
    said, again = one.towards(one.p), other.towards(other.p)
    assert said.p == pytest.approx(again.p) and said.y == pytest.approx(again.y)
    assert said.p.min() >= 0.5 and set(said.y) == {0.0, 0.5, 1.0}


def test_the_figures_are_those_of_the_core_on_the_test_split(loud: Workbench) -> None:
    table = opened("Figures").dataframe[0].value.set_index("Figure")
    model = models.listed(loud.store)[0]
    said = models.predictions(loud.store, model.id, ("test",))
    raw, y = said["raw"].to_numpy(), said["now"].to_numpy()
    p = 1 / (1 + np.exp(-np.abs(raw)))
    expected = report(
        _held_out.Predictions.of(p, np.where(raw < 0, 1 - y, y), None, said["group"].to_pylist()), 20
    )
    for key, label in NAMES.items():
        value = expected.figures[key]
        assert (
            table.loc[label, "Uncalibrated (kept)"]
            == f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
        )
        assert table.loc[label, "n"] == len(y)
    assert table.loc["p of Spiegelhalter’s Z", "Uncalibrated (kept)"] == "p < 0.01"


def test_a_loud_model_is_found_out_and_a_temperature_would_mend_it(loud: Workbench) -> None:
    at = opened()
    assert any("Not calibrated" in text.value for text in at.markdown)
    tiles = {metric.label: metric for metric in at.metric}
    assert float(tiles["ECE"].value) > 2 * float(tiles["ECE if calibrated"].value)
    compared = opened("Figures").dataframe[1].value.set_index("Calibrator")["Log loss"]
    loss = {name: float(text.split()[0]) for name, text in compared.items()}
    assert set(loss) == {"Uncalibrated (kept)", "Temperature", "Isotonic"}
    assert loss["Temperature"] < loss["Uncalibrated (kept)"] - 0.05


def test_the_other_calibrators_are_fitted_to_the_calibration_split_alone(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    found = _held_out.calibrated(loud.store, model.id, "all")
    part = models.predictions(loud.store, model.id, ("calibration",))
    p = 1 / (1 + np.exp(-part["raw"].to_numpy()))
    expected = fit("temperature", p, part["now"].to_numpy(), symmetric=True)(found.pairs.uncalibrated)
    assert found.lines["Temperature"] == pytest.approx(expected)
    assert not set(found.pairs.pair_id) & set(part["pair_id"].to_pylist())


def test_a_click_on_a_bin_chooses_it() -> None:
    def script() -> None:
        from types import SimpleNamespace

        import streamlit as st

        from pages._reliability import pick

        points = [{"customdata": ["sure", 7, 1]}, {"customdata": ["sure", 1, 20]}, {}]
        st.session_state["chart"] = SimpleNamespace(selection=SimpleNamespace(points=points))
        pick("chart", {("sure", 0): "0.50 to 0.55", ("sure", 1): "0.55 to 0.60"})

    assert AppTest.from_function(script).run().session_state["chart bin"] == ("sure", 1)


def test_a_bin_lists_its_pairs_by_the_select_box(loud: Workbench) -> None:
    at = opened()
    box = next(box for box in at.selectbox if box.label == "Pairs of a bin")
    found = _held_out.calibrated(loud.store, models.listed(loud.store)[0].id, "all")
    drawn = report(found.predictions(found.kept), 20).reliability
    assert drawn is not None and len(box.options) == len(drawn.rows)
    last = len(drawn.rows) - 1
    assert f"{len(drawn.rows[last]):,} pairs" in box.options[last]
    box.select_index(last).run()
    assert not at.exception
    table = at.dataframe[0].value
    assert len(table) == len(drawn.rows[last])
    gap = (table["predicted"] - table["votes"]).abs()
    assert gap.is_monotonic_decreasing and table["predicted"].min() >= drawn.low[last]
    assert set(table["side"]) == {"A", "B"}


def test_a_probe_can_be_looked_at_alone(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    judged(loud, 40, start=600)
    fresh = [row["pair_id"] for row in unseen(loud, model.id)]
    said = pa.table({"pair_id": fresh, "raw": [1.0] * 40, "probability": [0.7] * 40, "target": [1.0] * 40})
    probe = models.add_probe(loud.store, ProbeRow(id="probe_1", model_id=model.id, actor="ann"), said)
    whole, test = (len(_held_out.held_out(loud.store, model.id, which)) for which in ("all", "test"))
    assert len(_held_out.held_out(loud.store, model.id, probe.id)) == 40 == whole - test
    at = opened(**{f"calibration pairs {model.id}": probe.id})
    assert "Only 40 held-out pairs" in at.warning[0].value


def unseen(bench: Workbench, model_id: str) -> list[dict[str, Any]]:
    from storage import learning

    rows: list[dict[str, Any]] = learning.freeze(bench.store, unseen_by=model_id).table.to_pylist()
    known = set(models.predictions(bench.store, model_id)["pair_id"].to_pylist())
    return [row for row in rows if row["pair_id"] not in known]


def test_what_a_model_was_calibrated_on_anew_counts_out_of_fold(bench: Workbench) -> None:
    judged(bench, 300)
    first = version(bench)
    anew = version(bench, parts=("calibration",), parent_id=first.id)
    n = models.predictions(bench.store, anew.id, ("calibration",)).num_rows
    assert len(_held_out.held_out(bench.store, anew.id)) == n > 0
    at = opened(**{f"calibration version {first.name}": anew.id})
    assert not at.exception


def test_votes_that_were_undone_leave_the_figures(loud: Workbench) -> None:
    model = models.listed(loud.store)[0]
    before = len(_held_out.held_out(loud.store, model.id))
    table = models.predictions(loud.store, model.id)
    none = table.set_column(table.column_names.index("now"), "now", pa.nulls(len(table), pa.float64()))
    assert before == len(table) and len(_held_out.HeldOut.of(none)) == 0


def test_categories_and_weeks_have_their_own_figures(loud: Workbench) -> None:
    table = opened("By category").dataframe[0].value
    assert set(table["Category"]) == {"math", "coding"}
    weeks = opened("Over time").dataframe[0].value
    assert len(weeks) <= 6 and all(
        np.datetime64(day).astype(object).weekday() == 0 for day in weeks["Window"]
    )


def test_an_annotator_has_no_such_page(loud: Workbench, sign_in: Any) -> None:
    sign_in("annotator")
    at = AppTest.from_file(str(PAGES / "calibration.py"), default_timeout=300).run()
    assert "This page is for the role researcher" in at.warning[0].value
    assert not at.get("plotly_chart")


def test_the_page_needs_neither_torch_nor_sklearn() -> None:
    code = (
        "import sys; import pages._calibration, pages._reliability, pages._model_compare, pages._model_versions;"
        "from core.calibrators import fit; import numpy as np;"
        "r = np.random.default_rng(0); p = r.random(200); fit('isotonic', p, r.random(200) < p, symmetric=True);"
        "sys.exit(' '.join({'torch', 'sklearn', 'transformers'} & sys.modules.keys()) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PAGES.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
