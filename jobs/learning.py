"""Trainings, fine-tunings, calibrations, evaluations and drift runs on what people said, as a page or a route starts them."""

from dataclasses import asdict, replace
from typing import Literal

from core.drift import ALPHA
from core.fine_tuning import Plan
from core.generation import ProviderError
from core.labels import LOST, Policy
from core.populations import Window
from jobs import drift, evaluate, fine_tune, ingest, models, train_reward
from jobs.protocol import JobError, Row
from providers import available
from storage import campaigns, learning
from storage import drift as drift_rows
from storage import models as registry
from storage.drift import Scope
from storage.learning import Frozen, Report
from storage.tables import JobRow
from storage.workbench import Workbench

LONGEST_NAME = registry.MAX_NAME


def start_training(
    bench: Workbench,
    name: str,
    actor: str,
    *,
    campaign_id: str | None = None,
    category: str | None = None,
    policy: Policy | None = None,
    parent_id: str | None = None,
    emphasise: str | None = None,
    priority: int = 0,
    time_limit: float | None = None,
    **settings: str | int | float | bool | None,
) -> JobRow:
    """Freeze the labels of a campaign (None: of the store) and category, and queue a training on them.

    What comes out is the next version of ``name``, which descends from the model ``parent_id``, where one is given; a
    transformer is trained on from it. ``emphasise``: a model whose errors weigh more. ``settings`` are those of
    ``jobs.train_reward.arguments``: method, model, epochs, seed, ...; None is the default.

    Raises JobError where there are too few labels (it says how many are missing), ValueError for a setting that is
    wrong or that the method does not have, RewardError where the files of ``parent_id`` are damaged, ModelError and
    CampaignError for what there is not.
    """
    name = name.strip()
    if not 0 < len(name) <= LONGEST_NAME:
        raise ValueError(f"name: give the model a name of 1 to {LONGEST_NAME} characters.")
    policy = policy or Policy()
    told = train_reward.arguments(**{**settings, "ties": policy.ties})
    if parent_id is not None:
        parent = registry.get(bench.store, parent_id)
        if told["method"] == "transformer":
            if parent.method != "transformer":
                raise ValueError(
                    f"parent: {parent.name} {parent.version} is of method {parent.method}; only a transformer can be trained "
                    "on from."
                )
            told["from"] = str(models.verified(bench, parent))
    if emphasise is not None:
        registry.get(bench.store, emphasise)
    frozen = _frozen(bench, campaign_id, policy, category, emphasise=emphasise)
    sided = sum(target != 0.5 for target in frozen.table["target"].to_pylist())
    if (missing := bench.settings.reward_minimum - sided) > 0:
        raise JobError(
            f"A reward model needs {bench.settings.reward_minimum} pairs with a preferred answer; there are {sided}, so "
            f"{missing} more are needed.{_why(frozen.report)}"
        )
    return ingest.start(
        bench,
        train_reward.KIND,
        f"{name} · {told['method']} · {sided:,} pairs",
        actor,
        campaign_id,
        told,
        models.training(frozen.table, name, parent_id),
        priority,
        time_limit,
    )


def start_fine_tuning(bench: Workbench, plan: Plan, actor: str, campaign_id: str | None) -> JobRow:
    """Queue a fine-tuning at a provider: the texts of ``plan`` leave the house, as they are, when it starts.

    Nothing is sent, and JobError raised, where there are too few examples or the estimate is above the budget; ProviderError
    where no key is set.
    """
    tuning = plan.tuning
    if plan.refusal:
        raise JobError(plan.refusal)
    if reason := available(bench.settings)[tuning.provider]:
        raise ProviderError(reason)
    return ingest.start(
        bench,
        fine_tune.KIND,
        f"{tuning.model} · {tuning.shape} · {len(plan.train):,} examples",
        actor,
        campaign_id,
        fine_tune.arguments(plan),
        lambda run: fine_tune.freeze(run, plan),
    )


def start_on_model(
    bench: Workbench,
    kind: Literal["calibrate", "evaluate"],
    model_id: str,
    actor: str,
    *,
    campaign_id: str | None = None,
    category: str | None = None,
    policy: Policy | None = None,
    priority: int = 0,
    time_limit: float | None = None,
) -> JobRow:
    """Queue a job on pairs that a model was not trained on.

    ``calibrate`` calibrates it anew, and what comes out is the next version of its name; ``evaluate`` is a probe: the
    model's predictions held against what people said. Without a ``policy`` it is the one the model was trained under.
    Raises as ``start_training`` does.
    """
    model = registry.get(bench.store, model_id)
    if model.figures.get("trained_on") == "ratings":
        raise JobError(f"{model.name} {model.version} was trained on ratings, and the store has pairs.")
    policy = policy or learning.policy_of(registry.lineage(bench.store, model_id).learnt)
    frozen = _frozen(bench, campaign_id, policy, category, unseen_by=model_id)
    if not frozen.report.usable:
        raise JobError(
            f"There is no labelled pair that {model.name} {model.version} has not learnt from.{_why(frozen.report)}"
        )
    told: Row = {"model": str(models.verified(bench, model)), "ties": policy.ties, "criterion": None}
    write = models.training(frozen.table, model.name, model.id)
    if kind == evaluate.KIND:
        write = models.evaluation(frozen.table, model.id)
    label = f"{model.name} {model.version} · {frozen.report.usable:,} pairs"
    return ingest.start(bench, kind, label, actor, campaign_id, told, write, priority, time_limit)


def start_drift(
    bench: Workbench,
    scope: Scope,
    windows: tuple[Window, Window],
    actor: str,
    *,
    view: drift.View = "semantic",
    seed: int = 0,
    alpha: float = ALPHA,
    priority: int = 0,
    time_limit: float | None = None,
) -> JobRow:
    """Freeze a population in two windows, and queue a run that finds out what changed between them.

    Its clusters keep the numbers that the latest run of the same population, campaign and view gave them. Raises JobError where a
    window is empty, ValueError for windows or settings that cannot be, CampaignError and ModelError for what there is not.
    """
    if scope.campaign_id is not None:
        campaigns.get(bench.store, scope.campaign_id)
    policy = Policy(simulated=scope.simulated)
    for model_id in filter(None, (scope.other_id, scope.model_id)):
        learnt = learning.policy_of(registry.lineage(bench.store, model_id).learnt)
        policy = replace(learnt, simulated=scope.simulated)
    frozen = drift_rows.freeze(bench.store, scope, windows, policy)
    counts = [sum(side is after for side in frozen.table["after"].to_pylist()) for after in (False, True)]
    for window, count in zip(windows, counts, strict=True):
        if not count:
            raise JobError(
                f"Nothing of this population is in the window {window}: choose days on which there is something, or another population."
            )
    before = None
    if previous := drift_rows.latest(bench.store, scope, view):
        before = drift_rows.points(bench.store, previous.id), drift_rows.clusters(bench.store, previous.id)
    told = drift.arguments(
        view=view, seed=seed, alpha=alpha, next=previous.figures["next"] if previous else None,
        windows=[str(window) for window in windows],
    )  # fmt: skip
    told |= {
        "scope": asdict(scope),
        "grouped": frozen.grouped,
        "days": [{"first": str(window.first), "last": str(window.last)} for window in windows],
    }
    label = (
        f"{scope.population.capitalize()} · {windows[0]} ({counts[0]:,}) against {windows[1]} ({counts[1]:,})"
    )
    return ingest.start(
        bench, drift.KIND, label, actor, scope.campaign_id, told,
        lambda run: drift.freeze(run, frozen.table, before), priority, time_limit,
    )  # fmt: skip


def _frozen(
    bench: Workbench,
    campaign_id: str | None,
    policy: Policy,
    category: str | None,
    unseen_by: str | None = None,
    emphasise: str | None = None,
) -> Frozen:
    if campaign_id is not None:
        campaigns.get(bench.store, campaign_id)
    return learning.freeze(
        bench.store, campaign_id, policy, category=category, unseen_by=unseen_by, emphasise=emphasise
    )


def _why(report: Report) -> str:
    """What became of the other pairs."""
    if not report.lost:
        return ""
    lost = "; ".join(f"{count}: {LOST[reason]}" for reason, count in report.lost.items())
    hint = " Simulated annotations can be counted in on purpose." if "simulated_only" in report.lost else ""
    return f" Of {report.pairs} pairs {report.pairs - report.usable} are left out ({lost}).{hint}"
