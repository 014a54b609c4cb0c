"""Reports from the store: of a drift run, and of a model on the pairs that it had not seen."""

from datetime import UTC, datetime

from core.held_out import ALL, BINS, TEST, HeldOut, unseen
from core.labels import CONSENSUS, LOST, TIES
from core.report import Facts, render, when
from core.report_drift import VIEWS, drift_report
from core.report_evaluation import Evaluated, evaluation_report
from jobs.protocol import JobError, Row, Run
from storage import campaigns, drift, learning, models, pairs, people
from storage.models import SPLITS, Lineage, ModelError
from storage.store import Store
from storage.tables import DriftRow
from storage.workbench import Workbench


def of_drift(bench: Workbench, run: DriftRow) -> str:
    """The report of a drift run as HTML."""
    store, scope = bench.store, run.scope
    what = "pairs" if run.population == "pairs" else f"{run.population} of pairs"
    alike = {
        "prompt": "texts of one prompt, and equal texts",
        "text": "equal texts alone, as there are few prompts: this is about these prompts, not about how prompts are chosen",
    }
    facts = [
        ("Run", f"{run.id}, by {people.name(store, run.actor)}, {when(run.created_at)}"),
        (
            "Texts",
            f"{what} {scope.get('by', 'judged')} in the windows; {_people(bool(scope.get('simulated')))}",
        ),
        ("Campaign", _campaign(store, run.campaign_id)),
        ("Category", scope.get("category")),
        ("View", VIEWS[run.view]),
        ("Alike", alike[run.grouped]),
        ("Model", run.model_id and _model(store, run.model_id)),
        ("Held against", run.other_id and _model(store, run.other_id)),
    ]
    about = [(name, fact) for name, fact in facts if fact]
    points = drift.points(store, run.id)
    made = drift_report(
        run.figures, points, _arguments(bench, run.id), about, run.population, datetime.now(UTC)
    )
    return render(made)


def of_model(bench: Workbench, model_id: str, which: str = ALL, campaign_id: str | None = None) -> str:
    """The report of a model as HTML, on all pairs that it had not seen, on its test split ("test"), or on those of the probe
    ``which``; with ``campaign_id`` on those last annotated there.

    Raises ModelError where there is no such model or probe, or none of these pairs has votes, CampaignError for no such campaign.
    """
    store = bench.store
    lineage = models.lineage(store, model_id)
    model = lineage.model
    called, chosen = f"{model.name} {model.version}", _which(store, model_id, which)
    here = "" if campaign_id is None else f" in the campaign {campaigns.get(store, campaign_id).name}"
    found = HeldOut.of(unseen(models.predictions(store, model_id, SPLITS), which, campaign_id))
    if not len(found):
        raise ModelError(
            f"{called} has predicted no pair that it had not seen and that has votes{here}. Probe it on pairs it has not learnt "
            "from, or train with a share held out."
        )
    about = [
        (
            "Model",
            f"{called}, {model.status}; made {when(model.created_at)} by {people.name(store, model.actor)}",
        ),
        ("Pairs", f"{chosen}, last annotated{here}" if here else chosen),
        ("Labels", f"as they stand now: {_label(lineage.learnt)}"),
    ]
    longer = pairs.length_differences(store, found.pair_id.tolist())
    evaluated = Evaluated(found.p, found.uncalibrated, found.y, found.group, found.category, longer, BINS)
    told = _arguments(bench, model.job_id) or {}
    settings = ", ".join(
        f"{name} {value}" for name, value in told.items() if value is not None and name != "from"
    )
    again = [
        ("Job", model.job_id or "none"),
        ("Training settings", settings or "Not kept: the job’s folder is gone."),
    ]
    comes_from = _comes_from(store, lineage)
    return render(evaluation_report(called, evaluated, about, comes_from, again, datetime.now(UTC)))


def _comes_from(store: Store, lineage: Lineage) -> Facts:
    """The data that a model learnt from and how it was made, as far as each is known."""
    model, learnt = lineage.model, lineage.learnt
    lost = [
        f"{n:,} pairs: {LOST.get(why, why)}" for why, n in learnt.get("report", {}).get("lost", {}).items()
    ]
    parts = [
        f"{part} {size['rows']:,} pairs of {size['groups']:,} prompts"
        for part, size in model.figures.get("parts", {}).items()
    ]
    annotations = len(lineage.annotation_ids)
    facts = [
        ("Method", f"{model.method} on {model.base or 'no pretrained model'}"),
        (
            "Learnt from",
            f"{learnt.get('pairs', 0):,} pairs with {annotations:,} annotations, whose ids stand in the registry",
        ),
        ("Campaign", _campaign(store, learnt.get("campaign_id"))),
        ("Category", learnt.get("category")),
        ("Label", _label(learnt)),
        ("Left out", "\n".join(lost)),
        ("Split", "; ".join([*parts, "no prompt is in two parts"]) if parts else None),
        ("Calibrator", _calibrator(model.figures)),
        ("Fine-tuned from", " ← ".join(f"{one.name} {one.version}" for one in lineage.parents)),
        ("model.json", f"SHA-256 {model.checksum}"),
    ]
    return [(name, fact) for name, fact in facts if fact]


def _label(learnt: Row) -> str:
    policy = learning.policy_of(learnt)
    return f"{CONSENSUS[policy.consensus]}; {TIES[policy.ties]}; {_people(policy.simulated)}"


def _which(store: Store, model_id: str, which: str) -> str:
    if which in (ALL, TEST):
        return {ALL: "all that it had not seen: its test split and its probes", TEST: "its test split"}[which]
    probe = next((one for one in models.probes(store, model_id) if one.id == which), None)
    if probe is None:
        raise ModelError(f"There is no probe {which!r} of this model: give all, test, or the id of a probe.")
    return f"the probe of {when(probe.created_at)}"


def _calibrator(figures: Row) -> str:
    found = figures.get("calibrator", {})
    name = found.get("name", "identity")
    return f"{'none' if name == 'identity' else name}. {found.get('reason', '').removeprefix('No calibrator: ')}".strip()


def _arguments(bench: Workbench, job_id: str | None) -> Row | None:
    """What a job was told; None where its folder is gone."""
    try:
        return dict(Run(bench.settings.runs_dir / job_id).job()["arguments"]) if job_id else None
    except JobError:
        return None


def _campaign(store: Store, campaign_id: str | None) -> str:
    return campaigns.get(store, campaign_id).name if campaign_id else "all campaigns"


def _model(store: Store, model_id: str) -> str:
    try:
        model = models.get(store, model_id)
    except ModelError:
        return "a model that is gone"
    return f"{model.name} {model.version}"


def _people(simulated: bool) -> str:
    return "simulated annotators count" if simulated else "simulated annotators are left out"
