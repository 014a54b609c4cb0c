"""Annotations as they are read, against plain counts over the judgements that were given."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from core.judging import Verdict
from core.queueing import Lease
from core.ratings import Ratings
from storage import annotations, campaigns, people
from storage.desk import Desks
from storage.store import Store
from storage.tables import CampaignRow
from tests.storage.conftest import MakeCampaign

START = datetime.now(UTC)


@pytest.fixture
def worked(store: Store, desks: Desks, make_campaign: MakeCampaign) -> CampaignRow:
    """Three people judge ten pairs each, a second apart; then one edits, one undoes, and a third skips."""
    campaign = make_campaign(10, k=3)
    desk = desks[campaign.id]
    clock = START
    for name, choice in (("Ann", "a"), ("Bob", "tie"), ("Cleo", "both_bad")):
        person = people.annotator(store, name).id
        for turn in range(10):
            clock += timedelta(seconds=1)
            lease = desk.next(person, clock)
            assert isinstance(lease, Lease)
            verdict = Verdict(
                choice, 1 + turn % 3 if choice == "a" else None, confidence=turn % 5 + 1, seconds=turn
            )  # type: ignore[arg-type]
            if name == "Ann" and turn == 0:
                verdict = Verdict("b", 2)
            if name == "Cleo" and turn == 0:
                verdict = Verdict("skip")
            row = desk.submit(person, lease.pair_id, verdict, clock, source="person", lease_id=lease.id)
        if name == "Ann":
            desk.edit(person, row.id, Verdict("b", 3), clock + timedelta(milliseconds=1), source="person")
        if name == "Bob":
            desk.retract(person, row.id, clock)
    return campaign


def told(ratings: Ratings) -> Counter[tuple[str, str]]:
    return Counter(
        (ratings.raters[r], ratings.categories[c])
        for r, c in zip(ratings.rater, ratings.category, strict=True)
    )


def test_ratings(store: Store, worked: CampaignRow) -> None:
    ratings, strengths = annotations.ratings(store, campaign_id=worked.id)
    assert told(ratings) == {("Ann", "a"): 8, ("Ann", "b"): 2, ("Bob", "tie"): 9, ("Cleo", "both_bad"): 9}
    assert sorted(Counter(ratings.unit.tolist()).values()) == [2, 2] + [3] * 8
    assert told(strengths) == Counter(
        {
            ("Ann", "1"): 2,
            ("Ann", "2"): 3,
            ("Ann", "3"): 3,
            ("Ann", "-2"): 1,
            ("Ann", "-3"): 1,
            ("Bob", "0"): 9,
        }
    )
    assert np.isnan(ratings.confidence).sum() == 2
    assert np.nansum(ratings.confidence) == sum(t % 5 + 1 for t in range(1, 9)) + 15 + 15 - 5 + 30 - 1

    decided, _ = annotations.ratings(store, campaign_id=worked.id, ties="drop")
    assert told(decided) == {("Ann", "a"): 8, ("Ann", "b"): 2} and decided.categories == ("a", "b")
    assert len(annotations.ratings(store, category="general")[0].unit) == 28
    for narrowed in ({"category": "math"}, {"campaign_id": "c_no"}):
        empty, none = annotations.ratings(store, **narrowed)
        assert len(empty.unit) == len(none.unit) == 0 and empty.categories == ("a", "b")


def test_pages(store: Store, worked: CampaignRow) -> None:
    rows, total = annotations.page(store, campaign_id=worked.id, limit=100)
    assert (len(rows), total) == (29, 29)
    times = [row["submitted_at"] for row in rows]
    assert times == sorted(times, reverse=True)
    again = [r["id"] for offset in range(0, 30, 4) for r in annotations.page(store, campaign_id=worked.id, offset=offset, limit=4)[0]]  # fmt: skip
    assert again == [row["id"] for row in rows]
    assert {row["left"] for row in rows} == {"a", "b"}
    ann = people.annotator(store, "Ann").id
    mine, n = annotations.page(store, annotator_id=ann)
    assert n == 10 and {row["annotator"] for row in mine} == {"Ann"}
    assert annotations.page(store, annotator_id=ann, pair_id=mine[0]["pair_id"])[1] == 1


def test_the_last_one_and_today(store: Store, worked: CampaignRow) -> None:
    ann, cleo = (people.annotator(store, name).id for name in ("Ann", "Cleo"))
    last = annotations.last(store, worked.id, ann)
    assert last is not None and (last["choice"], last["strength"]) == ("b", 3) and last["supersedes"]
    assert annotations.last(store, worked.id, "u_no") is None
    assert annotations.today(store, worked.id, ann, START)[0] == 10
    assert annotations.today(store, worked.id, cleo, START) == (9, 5.0)
    assert annotations.today(store, worked.id, cleo, START + timedelta(hours=1)) == (0, None)


def test_history_tells_what_became_of_each(store: Store, worked: CampaignRow) -> None:
    states: Counter[tuple[Any, ...]] = Counter()
    for (pair_id,) in store.rows("SELECT pair_id FROM campaign_pair WHERE campaign_id = ?", worked.id):
        history = annotations.history(store, pair_id)
        states.update((row["annotator"], row["state"]) for row in history)
        assert [r["submitted_at"] for r in history] == sorted(r["submitted_at"] for r in history)
    assert states == {("Ann", "stands"): 10, ("Ann", "changed"): 1, ("Bob", "stands"): 9, ("Bob", "undone"): 1, ("Cleo", "stands"): 10}  # fmt: skip


def test_an_empty_store(store: Store) -> None:
    ratings, strengths = annotations.ratings(store)
    assert len(ratings.unit) == len(strengths.unit) == 0 and list(ratings.units) == []
    assert annotations.page(store) == ([], 0) and annotations.history(store, "x_no") == []
    assert campaigns.progress(store, campaigns.first(store)).left == 0
