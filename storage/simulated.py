"""Simulated annotations in the store, labelled as such, and the sample project that comes with them."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from core.records import Parsed, content_id
from core.sample import parse_sample
from core.simulation import SimulatedAnnotator, SimulatedItem, default_panel, simulate
from storage import campaigns, pairs, people
from storage.desk import Desks
from storage.store import Store, audit, insert
from storage.tables import CampaignRow

SAMPLE = Path(__file__).resolve().parent.parent / "assets" / "sample" / "pairs.jsonl"
SAMPLE_NAME = "Sample project"
SAMPLE_SEED = 20
SAMPLE_K = 3
GUIDELINES = """Choose the answer you would rather have received.

1. **Correct first.** A wrong result or code that does not run loses to a right one, however well it is written.
2. **Then helpful.** It answers what was asked, as fully as needed and no longer.
3. **Tie** when you would be equally content with either; **both bad** when you would send both back.
"""


def load_sample(store: Store, desks: Desks, actor: str) -> CampaignRow:
    """The sample project as a campaign: its pairs, each judged by three simulated annotators, with room for you.

    It takes over the first campaign while that one is empty. Loading it again adds nothing.
    """
    there = next((c for c in campaigns.listed(store, archived=True) if c.name == SAMPLE_NAME), None)
    campaign = there or campaigns.first(store)
    if there is None:
        if campaigns.progress(store, campaign).pairs:
            campaign = campaigns.create(store, CampaignRow(id="", name=SAMPLE_NAME), actor)
        campaign.name, campaign.k, campaign.guidelines = SAMPLE_NAME, SAMPLE_K + 1, GUIDELINES
        with desks[campaign.id].closed():
            campaigns.update(store, campaign, actor)
    sample = parse_sample(SAMPLE.read_text("utf-8"))
    parsed = Parsed([(row, pair) for row, (pair, _) in enumerate(sample, start=1)], [])
    pairs.add(store, desks, parsed, campaign.id, actor, source="sample")
    items = [item for _, item in sample]
    annotate(store, desks, campaign.id, items, default_panel(), SAMPLE_K, SAMPLE_SEED, actor)
    return campaign


def unjudged(store: Store, campaign_id: str) -> list[SimulatedItem]:
    """The campaign's pairs that nobody has judged, as the simulation sees them."""
    rows = store.rows(
        """SELECT pair.id, length(a.text), length(b.text) FROM campaign_pair JOIN pair ON pair.id = pair_id
           JOIN response a ON a.id = response_a JOIN response b ON b.id = response_b
           WHERE campaign_id = ? AND pair.id NOT IN (SELECT pair_id FROM annotation WHERE campaign_id = ?)
           ORDER BY pair.id""",
        campaign_id, campaign_id,
    )  # fmt: skip
    return [SimulatedItem(*row) for row in rows]


def annotate(
    store: Store,
    desks: Desks,
    campaign_id: str,
    items: Sequence[SimulatedItem],
    panel: Sequence[SimulatedAnnotator],
    per_item: int,
    seed: int,
    actor: str,
) -> int:
    """Let a panel judge pairs of a campaign; returns how many judgements are new. The same seed adds nothing twice."""
    drawn = simulate(panel, items, seed=seed, per_item=per_item)
    now = datetime.now(UTC)
    ids = {annotator.name: content_id("u", "simulated", annotator.name) for annotator in panel}
    left: dict[str, float] = defaultdict(float)
    times = []
    for judgement in reversed(drawn):
        left[judgement.annotator] += judgement.seconds
        times.append(now - timedelta(seconds=left[judgement.annotator]))
    columns: dict[str, Any] = {
        "id": [content_id("a", "simulated", str(seed), campaign_id, j.pair_id, j.annotator) for j in drawn],
        "campaign_id": [campaign_id] * len(drawn),
        "pair_id": [j.pair_id for j in drawn],
        "annotator_id": [ids[j.annotator] for j in drawn],
        "choice": [j.choice for j in drawn],
        "a_left": [j.left == "a" for j in drawn],
        "strength": pa.array([j.strength for j in drawn], pa.int32()),
        "confidence": pa.array([j.confidence for j in drawn], pa.int32()),
        "seconds": [j.seconds for j in drawn],
        "submitted_at": pa.array(times[::-1], pa.timestamp("us", "UTC")),
    }
    with desks[campaign_id].closed(), store.writing() as session:
        people.enter_annotators(session, {i: name for name, i in ids.items()}, "simulated")
        new = (
            insert(session, "annotation", pa.table(columns), unless="id", select=_BY_RESPONSE) if drawn else 0
        )
        audit(
            session,
            actor,
            "simulate",
            "campaign",
            campaign_id,
            annotations=new,
            seed=seed,
            panel=[asdict(annotator) for annotator in panel],
        )
    return new


_BY_RESPONSE = """
    SELECT incoming.* EXCLUDE (choice, a_left),
           CASE WHEN choice IN ('a', 'b') THEN 'prefer' ELSE choice END AS verdict,
           CASE choice WHEN 'a' THEN response_a WHEN 'b' THEN response_b END AS preferred_id,
           CASE WHEN a_left THEN response_a ELSE response_b END AS left_id,
           '{}' AS aspects, FALSE AS repeat, 'simulated' AS source
    FROM incoming JOIN pair ON pair.id = incoming.pair_id
"""
