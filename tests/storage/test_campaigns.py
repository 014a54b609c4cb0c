"""Campaigns: there is always one, its rules are checked, and its progress is counted honestly."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.judging import Verdict
from core.queueing import Lease
from storage import campaigns
from storage.campaigns import CampaignError
from storage.desk import Desks
from storage.store import Store
from storage.tables import CampaignRow
from tests.storage.conftest import MakeCampaign


def test_there_is_always_one_and_only_one_is_made(store: Store) -> None:
    ready = threading.Barrier(8)

    def first(_: int) -> str:
        ready.wait()
        return campaigns.first(store).id

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(first, range(8)))) == 1
    assert [c.name for c in campaigns.listed(store)] == ["Main"]


def test_the_only_campaign_in_use_is_not_archived(store: Store) -> None:
    main = campaigns.first(store)
    main.archived = True
    with pytest.raises(CampaignError, match="only campaign in use"):
        campaigns.update(store, main, "ann")
    other = campaigns.create(store, CampaignRow(id="", name="Other"), "ann")
    campaigns.update(store, main, "ann")
    assert campaigns.first(store).id == other.id
    assert len(campaigns.listed(store, archived=True)) == 2


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", "  "),
        ("name", "Main"),
        ("k", 0),
        ("k", 101),
        ("ordering", "alphabetical"),
        ("gold_share", -0.1),
        ("gold_share", 0.6),
        ("gold_share", float("nan")),
        ("repeat_share", 0.51),
        ("lease_minutes", 0),
        ("lease_minutes", 1441),
    ],
)
def test_rules_that_cannot_be_used_are_named(store: Store, field: str, value: Any) -> None:
    campaigns.first(store)
    with pytest.raises(CampaignError, match=field):
        campaigns.create(store, CampaignRow(**{"id": "", "name": "New", field: value}), "ann")
    good = campaigns.create(store, CampaignRow(id="", name="New"), "ann")
    setattr(good, field, value)
    with pytest.raises(CampaignError, match=field):
        campaigns.update(store, good, "ann")
    assert (
        campaigns.get(store, good.id).model_dump()[field]
        == CampaignRow(id="", name="New").model_dump()[field]
    )


def test_the_audit_keeps_what_each_rule_was(store: Store) -> None:
    campaign = campaigns.get(store, campaigns.first(store).id)
    campaigns.update(store, campaign, "ann")
    campaign.k, campaign.aspects = 5, ["helpful"]
    campaigns.update(store, campaign, "ann")
    rows = store.rows("SELECT actor, detail FROM audit WHERE action = 'update'")
    assert [(who, json.loads(detail)) for who, detail in rows] == [
        ("ann", {"k": [3, 5], "aspects": [[], ["helpful"]]})
    ]


def test_an_unknown_campaign_is_an_error(store: Store) -> None:
    with pytest.raises(CampaignError, match="'c_no'"):
        campaigns.get(store, "c_no")
    with pytest.raises(CampaignError, match="'c_no'"):
        campaigns.find(store, "c_no")
    assert campaigns.find(store, None) == campaigns.get(store, None).id == campaigns.first(store).id


def test_progress_counts_judgements_up_to_k_and_neither_skips_nor_repeats(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(30, k=2, repeat_share=0.3)
    desk = desks[campaign.id]
    empty = campaigns.progress(store, campaign)
    assert (empty.pairs, empty.complete, empty.done, empty.wanted, empty.left) == (30, 0, 0, 60, 60)
    assert (empty.per_hour, empty.median_seconds, empty.work_left, empty.time_left) == (None,) * 4
    now = datetime.now(UTC)
    judged = repeats = 0
    for turn in range(30):
        lease = desk.next("ann", now)
        assert isinstance(lease, Lease)
        verdict = Verdict("skip", seconds=900) if turn % 10 == 9 else Verdict("a", seconds=20)
        desk.submit("ann", lease.pair_id, verdict, now, source="person", lease_id=lease.id)
        repeats += lease.repeat and verdict.choice != "skip"
        judged += not lease.repeat and verdict.choice != "skip"
    assert repeats > 0
    found = campaigns.progress(store, campaign)
    assert (found.done, found.left, found.complete, found.annotators) == (judged, 60 - judged, 0, 1)
    assert (found.per_hour, found.median_seconds) == (judged, 20)
    assert found.work_left == timedelta(seconds=20 * found.left)
    assert found.time_left == timedelta(hours=found.left / judged)

    campaign.k = 1
    with desk.closed():
        campaigns.update(store, campaign, "ann")
    found = campaigns.progress(store, campaign)
    assert (found.done, found.complete, found.wanted) == (judged, judged, 30)
