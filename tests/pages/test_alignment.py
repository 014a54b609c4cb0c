"""The Alignment page: its figures are those of the core on pairs the model has not seen; points lead to pairs; empty states."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from core.alignment import FIGURES
from core.comparing import accuracy
from core.judging import Verdict
from core.records import Pair, Parsed, Prompt, Response
from pages import _alignment, _held_out
from storage import adjudication, campaigns, models, pairs, people
from storage.tables import CampaignRow
from storage.workbench import Workbench
from tests.pages.conftest import Filled
from tests.pages.registered import judged, version

SHELL = Path(__file__).resolve().parents[2] / "pages" / "_shell.py"


def opened(**state: Any) -> AppTest:
    at = AppTest.from_file(str(SHELL), default_timeout=300)
    for key, value in {"name": "Ada", **state}.items():
        at.session_state[key] = value
    return at.switch_page("alignment.py").run()


def shown(at: AppTest) -> str:
    return "\n".join(element.value for element in (*at.markdown, *at.caption, *at.info, *at.warning))


def judged_and_predicted(bench: Workbench) -> None:
    judged(bench, 1200)
    version(bench)


@pytest.fixture(scope="module")
def project(filled: Filled) -> Path:
    return filled(judged_and_predicted)


@pytest.fixture
def learnt(project: Path, bench: Workbench) -> Workbench:
    """1,200 judged pairs over six weeks, and a version that predicts them."""
    return bench


def test_without_a_model_it_says_to_train_one(bench: Workbench) -> None:
    at = opened()
    assert not at.exception and "There is no model yet" in at.info[0].value


def test_a_version_that_predicted_only_what_it_learnt_from_says_to_probe_it(bench: Workbench) -> None:
    judged(bench, 80)
    version(bench, parts=("train",))
    at = opened()
    assert "has predicted no pair that it had not seen" in at.info[0].value
    assert [link.proto.label for link in at.get("page_link")] == ["Probe it"]


def test_another_campaign_says_to_widen(learnt: Workbench) -> None:
    other = campaigns.create(learnt.store, CampaignRow(id="", name="Other"), "test")
    pair = Pair(Prompt.from_text("New?"), Response("Yes"), Response("No"))
    pairs.add(learnt.store, learnt.desks, Parsed([(1, pair)], []), other.id, "test", source="test")
    at = opened(campaign=other.id)
    assert not at.exception and "Widen them" in at.info[0].value
    at.toggle(key="alignment everywhere").set_value(True).run()
    assert at.get("plotly_chart") and not at.info


@pytest.mark.parametrize("along", ["time", "category", "version"])
@pytest.mark.parametrize("view", ["Accuracy", "Agreement", "Errors"])
def test_every_view_draws(learnt: Workbench, view: str, along: str) -> None:
    at = opened(**{"alignment view": view, "alignment along": along})
    assert not at.exception and not at.error and at.get("plotly_chart")
    rows = at.dataframe[0].value
    assert rows.iloc[0, 0] == "all" and len(rows) > (1 if along == "version" else 2)


def test_windows_hold_the_held_out_pairs_of_their_time(learnt: Workbench) -> None:
    (model,) = models.listed(learnt.store)
    held = _held_out.held_out(learnt.store, model.id)
    found = _alignment.parted(learnt.store, model.id, None, None, "time", "week")
    assert list(found.parts) == [
        f"2026-{day}" for day in ("01-05", "01-12", "01-19", "01-26", "02-02", "02-09")
    ]
    assert found.left_out == 0 and sum(len(part) for part in found.parts.values()) == len(held)
    seen = models.seen_prompts(learnt.store, model.id)
    for start, part in found.parts.items():
        first = np.datetime64(start)
        assert ((part.pairs.at >= first) & (part.pairs.at < first + np.timedelta64(7, "D"))).all()
        assert not seen.intersection(part.pairs.group)
        rows = np.isin(held.pair_id, part.pairs.pair_id)
        assert found.figures[start]["accuracy"] == accuracy(held.take(rows).as_stored())
    assert set(found.change) == {"accuracy", "with_people"} and found.change["accuracy"].low is not None


def test_votes_are_those_of_people_on_the_pair(learnt: Workbench) -> None:
    (model,) = models.listed(learnt.store)
    found = _alignment.aligned(learnt.store, model.id, None, None)
    assert (found.votes.sum(1) == 2).all() and (found.votes[:, 2] == 0).all()
    assert found.pairs.y == pytest.approx(found.votes[:, 0] / 2)
    math = _alignment.aligned(learnt.store, model.id, None, "math")
    assert 0 < len(math) < len(found) and set(math.pairs.category) == {"math"}


def test_a_point_lists_its_pairs_the_worst_first(learnt: Workbench) -> None:
    at = opened(**{"alignment along": "category"})
    points = next(box for box in at.selectbox if box.label == "Pairs of a point")
    points.select(next(option for option in points.options if option.startswith("Accuracy · math"))).run()
    table = at.dataframe[-1].value
    wrong = table["model"] != table["people"]
    assert set(table["category"]) == {"math"} and wrong.iloc[0] and not wrong.iloc[-1]
    assert (np.diff(wrong.astype(int)) <= 0).all()


def test_one_window_and_small_windows_say_what_to_do(bench: Workbench) -> None:
    judged(bench, 300)
    version(bench)
    at = opened(**{"alignment window": "year"})
    assert "All of it is in one window, from 2026-01-01 on" in at.info[0].value and at.get("plotly_chart")
    small = opened(**{"alignment window": "day"})
    assert "No window has 20 pairs" in small.info[0].value and not small.get("plotly_chart")


def test_versions_stand_beside_each_other_on_their_own_pairs(learnt: Workbench) -> None:
    second = version(learnt, skill=2.0, seed=1)
    found = _alignment.parted(learnt.store, second.id, None, None, "version", None)
    assert list(found.parts) == ["1.0.0", "1.1.0"]
    first, better = (found.figures[name]["accuracy"].value for name in found.parts)
    assert first is not None and better is not None and better > first
    assert set(found.figures["1.0.0"]) == set(FIGURES)


def test_a_resolution_is_what_the_model_is_held_against_and_no_vote(learnt: Workbench) -> None:
    (model,) = models.listed(learnt.store)
    campaign = campaigns.first(learnt.store)
    before = _alignment.aligned(learnt.store, model.id, None, None)
    tied = [str(pair) for pair, y in zip(before.pairs.pair_id, before.pairs.y, strict=True) if y == 0.5]
    assert set(tied) <= set(adjudication.disputed(learnt.store, campaign.id))
    who, now = people.annotator(learnt.store, "Lea").id, datetime.now(UTC)
    lease = learnt.adjudication.next(campaign.id, who, tied, now)
    assert lease is not None
    learnt.adjudication.resolve(who, lease.pair_id, Verdict("b"), now, lease_id=lease.id)
    after = _alignment.aligned(learnt.store, model.id, None, None)
    row = list(after.pairs.pair_id).index(lease.pair_id)
    assert after.pairs.y[row] == 0 and after.votes[row].tolist() == [1, 1, 0]
    assert after.figures()["among_people"] == before.figures()["among_people"]
