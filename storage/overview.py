"""The counts of the Overview: what the store and one campaign hold, and how much comes in a day."""

from dataclasses import dataclass, field
from datetime import date

from core.agreement import TARGETS, krippendorff_alpha
from core.estimate import Estimate
from storage import annotations, campaigns
from storage.store import Store


@dataclass(frozen=True, slots=True)
class Counts:
    """Prompts in use, those without a pair, pairs in the store; of the campaign, by source (person, api, import,
    simulated), the annotations that stand without skips; ``people`` and ``panel`` gave them: how many annotators who
    are not simulated, and how many who are."""

    prompts: int
    unpaired: int
    pairs: int
    annotations: dict[str, int] = field(default_factory=dict)
    people: int = 0
    panel: int = 0

    @property
    def simulated(self) -> int:
        return self.annotations.get("simulated", 0)

    @property
    def human(self) -> int:
        return sum(self.annotations.values()) - self.simulated


def counts(store: Store, campaign_id: str) -> Counts:
    """What there is."""
    prompts, unpaired, pairs = store.rows(
        """SELECT count(*), count(*) FILTER (id NOT IN (SELECT prompt_id FROM pair)), (SELECT count(*) FROM pair)
           FROM prompt WHERE NOT archived"""
    )[0]
    by_source = store.rows(
        """SELECT source, count(*) FROM current_annotation WHERE campaign_id = ? AND choice <> 'skip' GROUP BY source""",
        campaign_id,
    )
    people, panel = store.rows(
        """SELECT count(DISTINCT annotator_id) FILTER (source <> 'simulated'),
                  count(DISTINCT annotator_id) FILTER (source = 'simulated')
           FROM current_annotation WHERE campaign_id = ? AND choice <> 'skip'""",
        campaign_id,
    )[0]
    return Counts(prompts, unpaired, pairs, dict(by_source), people, panel)


def per_day(store: Store, campaign_id: str, since: date) -> list[tuple[date, str, int]]:
    """The annotations that stand, without skips, by day (UTC) and source, from a day on."""
    return store.rows(
        """SELECT CAST(submitted_at AT TIME ZONE 'UTC' AS DATE) AS day, source, count(*) FROM current_annotation
           WHERE campaign_id = ? AND verdict <> 'skip' AND submitted_at >= CAST(? AS TIMESTAMP) AT TIME ZONE 'UTC'
           GROUP BY ALL ORDER BY ALL""",
        campaign_id, since,
    )  # fmt: skip


def agreement(store: Store, campaign_id: str) -> Estimate:
    """The headline: Krippendorff's alpha over the choices of the campaign, with its target."""
    choices, _ = annotations.ratings(store, campaign_id=campaign_id)
    return krippendorff_alpha(choices).with_target(TARGETS["krippendorff_alpha"])


def progress(store: Store, campaign_id: str) -> campaigns.Progress:
    """How far a campaign is, by its id."""
    return campaigns.progress(store, campaigns.get(store, campaign_id))
