"""The buttons that hand out reports stand where what they report on is shown."""

import pyarrow as pa
from streamlit.testing.v1 import AppTest

from storage import drift
from storage.tables import DriftRow
from storage.workbench import Workbench
from tests.pages.conftest import Visit
from tests.pages.registered import judged, version
from tests.reported import drifted


def offered(at: AppTest) -> list[str]:
    assert not at.exception
    return [one.label for one in at.get("download_button") if one.label.startswith("Report")]


def test_a_drift_run_has_a_report_and_a_new_one_has_none_yet(bench: Workbench, visit: Visit) -> None:
    assert offered(visit("drift")) == []
    figures, points = drifted()
    row = DriftRow(
        id="job_1", population="pairs", view="tfidf", grouped="text", scope={}, actor="ann", figures=figures
    )
    clusters = pa.table({"cluster": [0, 1, 2], "name": ["a", "b", "c"], "n": [1] * 3, "x": [0.0] * 3, "y": [0.0] * 3,
                         "centroid": [[0.0]] * 3})  # fmt: skip
    drift.register(bench.store, row, points, clusters)
    assert offered(visit("drift")) == ["Report (HTML)"]


def test_a_version_with_held_out_votes_has_one(bench: Workbench, visit: Visit) -> None:
    assert offered(visit("calibration")) == []
    judged(bench)
    version(bench)
    assert offered(visit("calibration")) == ["Report (HTML)"]
