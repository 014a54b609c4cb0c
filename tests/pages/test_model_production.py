"""The Models page in production: before anything was deployed or asked, before anybody voted, and with all of it."""

import json
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from core.estimate import Estimate
from core.production_figures import quality_figure, service_figure
from storage import models, production
from storage.models import Model
from storage.workbench import Workbench
from tests.pages.conftest import SHELL, Filled
from tests.pages.registered import judged, version


def opened(**state: Any) -> AppTest:
    at = AppTest.from_file(str(SHELL), default_timeout=300)
    for key, value in {"name": "Ada", "models view": "In production", **state}.items():
        at.session_state[key] = value
    return at.switch_page("models.py").run()


def judged_and_predicted(bench: Workbench) -> None:
    judged(bench)
    version(bench)


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(judged_and_predicted)


@pytest.fixture
def model(project: Path, bench: Workbench) -> Model:
    (model,) = models.listed(bench.store)
    return model


def deployed_before_the_votes(bench: Workbench, model: Model) -> None:
    models.deploy(bench.store, model.id, "ann")
    with bench.store.writing() as session:
        session.connection().exec_driver_sql("UPDATE model_event SET occurred_at = '2025-12-01T10:00:00Z'")


def test_before_anything_is_deployed_it_says_what_to_do(bench: Workbench, model: Model) -> None:
    at = opened()
    assert not at.exception and not at.dataframe
    assert "No version of votes was deployed or asked yet. Deploy one under Versions" in at.info[0].value


def test_before_anybody_asked_or_voted_it_says_how(bench: Workbench, model: Model) -> None:
    models.deploy(bench.store, model.id, "ann")
    at = opened()
    assert not at.exception
    table = at.dataframe[0].value
    assert table["Deployed"][0].startswith("since 2") and table["Requests"][0] == 0
    assert (table["p50"][0], table["Error rate"][0], table["Accuracy since"][0]) == ("–", "–", "–")
    votes, asked = (info.value for info in at.info)
    assert "Annotate, then probe it" in votes and "`POST /api/score`" in asked


def test_a_version_that_was_only_asked_by_its_id(bench: Workbench, model: Model) -> None:
    bench.served.add(model.id, "page", 3, 0.2, False)
    bench.served.write()
    at = opened()
    assert not at.exception
    assert at.dataframe[0].value["Deployed"][0] == "never"
    assert "It was never deployed" in at.info[0].value


def test_quality_and_service_beside_what_it_was_deployed_with(bench: Workbench, model: Model) -> None:
    deployed_before_the_votes(bench, model)
    for n in range(100):
        bench.served.add(model.id, "rerank" if n % 2 else "score", 10, 0.2, n < 5)
    bench.served.write()
    at = opened(**{"production window": "month"})
    assert not at.exception and not at.info
    row = at.dataframe[0].value.iloc[0]
    assert (row["Requests"], row["Error rate"]) == (
        100,
        "5.0% (2.2\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}11.2%)",
    )
    assert 190 <= float(row["p50"].split()[0]) <= 210
    found = production.of(bench.store, model.id, "month")
    accuracy = found.quality.accuracy
    assert found.pairs > 60 and row["Accuracy since"].startswith(f"{accuracy.value:.3f} (")
    said = "\n".join(element.value for element in at.markdown).replace("\N{NO-BREAK SPACE}", " ")
    assert f"on {accuracy.n} pairs; deployed with 0.800 (0.700 to 0.900)" in said
    assert "Satisfaction and cost cannot be computed" in "\n".join(one.value for one in at.caption)
    routes = at.dataframe[1].value
    assert list(routes["Asked by"]) == ["/api/score", "/api/rerank"] and list(routes["Texts"]) == [500, 500]
    for kind in ("Error rate", "Requests"):
        again = opened(
            **{"production service": kind, "production figure": "ece", "production window": "hour"}
        )
        assert not again.exception, kind


def test_figures_hold_their_numbers() -> None:
    at = [Estimate(0.7, 0.6, 0.8, 40), Estimate.unavailable("few", 3)]
    figure = quality_figure(["2026-03-02", "2026-03-09"], at, "Accuracy", Estimate(0.75, 0.7, 0.8, 90))  # type: ignore[list-item]
    assert list(figure.data[0].y) == [0.7, None]
    line, band = figure.layout.shapes
    assert (line.y0, band.y0, band.y1) == (0.75, 0.7, 0.8)
    figure = service_figure(["2026-03-02", "2026-03-09"], {"p50": at, "p95": at}, "Milliseconds", share=False)  # type: ignore[list-item]
    assert [trace.name for trace in figure.data] == ["p50", "p95"] and figure.layout.yaxis.type == "log"
    assert [round(10**end, 6) for end in figure.layout.yaxis.range] == [0.5, 1.0]
    assert json.loads(figure.to_json())
