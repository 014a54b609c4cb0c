"""Simulated annotators: labelled as such, the same by seed, and stored by response with their sides."""

from collections import Counter
from datetime import UTC, datetime

import pytest

from core.simulation import SimulatedAnnotator, default_panel, simulate
from storage import annotations, campaigns, simulated
from storage.desk import Desks
from storage.store import Store
from tests.storage.conftest import MakeCampaign


def test_the_sample_project_enters_once(store: Store, desks: Desks) -> None:
    campaign = simulated.load_sample(store, desks, "ann")
    progress = campaigns.progress(store, campaign)
    assert progress.pairs >= 60 and progress.done == 3 * progress.pairs and progress.left == progress.pairs
    assert campaign.id == campaigns.first(store).id and campaign.k == 4
    kinds = store.rows("SELECT DISTINCT kind, starts_with(name, 'Simulated') FROM annotator")
    assert kinds == [("simulated", True)]
    assert store.rows("SELECT DISTINCT source FROM annotation") == [("simulated",)]
    before = store.rows("SELECT * FROM annotation ORDER BY id")
    again = simulated.load_sample(store, desks, "ann")
    assert again.id == campaign.id and store.rows("SELECT * FROM annotation ORDER BY id") == before
    assert len(campaigns.listed(store)) == 1


def test_the_sample_leaves_a_campaign_with_pairs_alone(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    mine = make_campaign(3)
    campaign = simulated.load_sample(store, desks, "ann")
    assert campaign.id != mine.id and campaigns.progress(store, mine).pairs == 3
    assert simulated.load_sample(store, desks, "ann").id == campaign.id


def test_what_is_stored_is_what_was_simulated(
    store: Store, desks: Desks, make_campaign: MakeCampaign
) -> None:
    campaign = make_campaign(40)
    items = simulated.unjudged(store, campaign.id)
    assert len(items) == 40
    lengths = dict(
        store.rows("SELECT pair.id, length(text) FROM pair JOIN response ON response.id = response_a")
    )
    assert {i.pair_id: i.length_a for i in items} == lengths
    panel = default_panel()
    assert simulated.annotate(store, desks, campaign.id, items, panel, 2, 7, "ann") == 80
    assert simulated.annotate(store, desks, campaign.id, items, panel, 2, 7, "ann") == 0
    assert simulated.unjudged(store, campaign.id) == []
    drawn = simulate(panel, items, seed=7, per_item=2)
    rows, _ = annotations.page(store, campaign_id=campaign.id, limit=100)
    facts = ("pair_id", "annotator", "choice", "left", "strength", "confidence", "seconds")
    assert {tuple(r[f] for f in facts) for r in rows} == {tuple(getattr(j, f) for f in facts) for j in drawn}
    assert all(row["submitted_at"] <= datetime.now(UTC) for row in rows)
    assert store.rows("SELECT count(*) FROM audit WHERE action = 'simulate'") == [(2,)]


def test_two_panels_do_not_mix(store: Store, desks: Desks, make_campaign: MakeCampaign) -> None:
    campaign = make_campaign(5)
    items = simulated.unjudged(store, campaign.id)
    for seed, name in enumerate(("Simulated x", "Simulated y")):
        panel = [SimulatedAnnotator(name, 3.0)]
        assert simulated.annotate(store, desks, campaign.id, items, panel, 1, seed, "ann") == 5
    assert simulated.annotate(store, desks, campaign.id, [], default_panel(), 1, 9, "ann") == 0
    ratings, _ = annotations.ratings(store)
    assert Counter(ratings.raters[r] for r in ratings.rater) == {"Simulated x": 5, "Simulated y": 5}


@pytest.mark.parametrize("k", [1, 3])
def test_simulated_judgements_count_towards_k(
    store: Store, desks: Desks, make_campaign: MakeCampaign, k: int
) -> None:
    campaign = make_campaign(4, k=k)
    simulated.annotate(
        store, desks, campaign.id, simulated.unjudged(store, campaign.id), default_panel(), k, 1, "ann"
    )
    assert campaigns.progress(store, campaign).left == 0
