"""The counts of the Overview: what the store and one campaign hold, and how much comes in a day."""

from dataclasses import dataclass, field
from datetime import date

from core.adjudication import LEAST, disputes
from core.agreement import TARGETS, krippendorff_alpha
from core.consensus import majority
from core.estimate import Estimate
from core.next_steps import Compared, Disputed, Learning, Version
from storage import adjudication, annotations, campaigns, drift, models
from storage.models import Model
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


def disputed(store: Store, campaign_id: str, k: int) -> Disputed:
    """How far adjudication is, on the pairs that have all of their ``k`` judgements (two at least)."""
    judged, _ = annotations.ratings(store, campaign_id=campaign_id)
    found = disputes(judged, least=max(k, LEAST)).units
    resolved = adjudication.resolutions(store, campaign_id)
    label = dict(zip(judged.units, majority(judged).label, strict=True))
    open_pairs = [pair for pair in found if pair not in resolved]
    return Disputed(
        len(found), len(found) - len(open_pairs), sum(int(label[pair]) < 0 for pair in open_pairs)
    )


def progress(store: Store, campaign_id: str) -> campaigns.Progress:
    """How far a campaign is, by its id."""
    return campaigns.progress(store, campaigns.get(store, campaign_id))


def learning(store: Store, campaign_id: str, needed: int) -> Learning:
    """What the campaign can teach a model, and the models that learnt from it, alone or with others."""
    by_people, labelled = store.rows(
        """SELECT count(DISTINCT pair_id) FILTER (source <> 'simulated'), count(DISTINCT pair_id)
           FROM current_annotation WHERE campaign_id = ? AND choice IN ('a', 'b', 'tie')""",
        campaign_id,
    )[0]
    found = [model for model in models.listed(store) if model.campaign_id in (None, campaign_id)]
    if not found:
        return Learning(needed, labelled, labelled - by_people)
    in_use = [model for model in found if model.status == "deployed"]
    deployed = max(in_use, key=lambda model: model.deployed_at or model.created_at, default=None)
    learnt, fresh = store.rows(
        """WITH learnt AS (SELECT (lineage->>'$.policy.simulated') = 'true' AS simulated,
                                  unnest(CAST(lineage->'annotations' AS VARCHAR[])) AS id FROM model WHERE id = $1)
           SELECT (SELECT count(*) FROM learnt),
                  count(*) FILTER (id NOT IN (SELECT id FROM learnt)
                                   AND (source <> 'simulated' OR (SELECT any_value(simulated) FROM learnt)))
           FROM current_annotation WHERE campaign_id = $2 AND choice IN ('a', 'b', 'tie')""",
        found[0].id, campaign_id,
    )[0]  # fmt: skip
    newest = _version(store, found[0])
    current = _version(store, deployed) if deployed else None
    return Learning(needed, labelled, labelled - by_people, newest, current, learnt, fresh)


def compared(store: Store, campaign_id: str) -> Compared:
    """The latest drift run on the campaign, alone or with others; without one, how many weeks could be compared."""
    if runs := drift.listed(store, campaign_id, 1):
        return Compared(run=drift.titled(runs[0]), alerts=len(runs[0].figures["alerts"]))
    days = drift.days(store, drift.Scope(campaign_id=campaign_id))
    return Compared(len({day.isocalendar()[:2] for day, _ in days}))


def _version(store: Store, model: Model) -> Version:
    """A model with its accuracy: that of its latest probe, else of its test."""
    figures = next((probe.figures for probe in models.probes(store, model.id)), model.figures)
    accuracy = figures.get("accuracy")
    known = Estimate(**accuracy) if accuracy else Estimate.unavailable("It was not tested.")
    return Version(f"{model.name} {model.version}", known)
