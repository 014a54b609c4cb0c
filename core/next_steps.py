"""What a project should do next, and why: rules over a few counts, the most pressing step first."""

from dataclasses import dataclass

from core.estimate import Estimate

ENOUGH_FOR_REPEATS = 50
"""Annotations by people from which on it is worth asking whether they agree with themselves."""

WORTH_RETRAINING = 0.2
"""New annotations, as a share of those the newest version learnt from, from which on another look at it pays."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model, by name and number, and its accuracy on pairs that it had not seen."""

    name: str
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Learning:
    """What a campaign can teach a model, and what it has taught.

    ``labelled``: pairs with a vote, ``simulated`` of them by simulated annotators alone; a model needs ``needed``.
    ``newest`` version and the ``deployed`` one, where there are any; ``learnt``: annotations behind the newest,
    ``fresh``: those that it has not learnt from.
    """

    needed: int
    labelled: int
    simulated: int = 0
    newest: Version | None = None
    deployed: Version | None = None
    learnt: int = 0
    fresh: int = 0


@dataclass(frozen=True, slots=True)
class Disputed:
    """How many pairs with all their judgements people disagree on; ``resolved`` of them by adjudication, and ``drawn`` of
    the others without a choice that has more votes than the rest."""

    pairs: int = 0
    resolved: int = 0
    drawn: int = 0


@dataclass(frozen=True, slots=True)
class Compared:
    """What is known of drift: ``weeks`` in which pairs were judged; of the latest comparison of two windows what it was of
    (``run``, None where there is none) and how many ``alerts`` it gave."""

    weeks: int = 0
    run: str | None = None
    alerts: int = 0


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a project and one of its campaigns stand.

    ``prompts`` in use, of which ``unpaired`` have no pair; ``stored_pairs`` in the store, ``pairs`` in the campaign;
    ``done`` judgements of the ``wanted`` (``k`` a pair); annotations by people (``human``, imported ones included) and
    by ``simulated`` annotators; ``guidelines`` says whether there are any; ``agreement`` is the headline figure;
    ``learning`` is how far its models are, ``disputed`` how far adjudication is, ``compared`` what drift was looked for.
    """

    prompts: int
    unpaired: int
    stored_pairs: int
    pairs: int
    done: int
    wanted: int
    k: int
    human: int
    simulated: int
    guidelines: bool
    repeat_share: float
    agreement: Estimate
    learning: Learning
    disputed: Disputed = Disputed()
    compared: Compared = Compared()


@dataclass(frozen=True, slots=True)
class Step:
    """Something to do: ``page`` is the page to do it on, by file name without ``.py``."""

    title: str
    why: str
    page: str


def next_steps(now: Situation) -> list[Step]:
    """The steps that make sense now, the most pressing first; never empty."""
    if now.pairs == 0:
        return _first_pairs(now)
    steps = [
        _agreement(now),
        _guidelines(now),
        _second_annotator(now),
        _annotate(now),
        _answers(now),
        _adjudicate(now.disputed),
        _repeats(now),
        _train(now.learning),
        _deploy(now.learning),
        _retrain(now.learning),
        _compare(now.compared),
    ]
    return [step for step in (*steps, _export(now)) if step is not None]


def _first_pairs(now: Situation) -> list[Step]:
    if now.stored_pairs:
        why = f"The store holds {_count(now.stored_pairs, 'pair')}, but none is in this campaign."
        return [Step("Put pairs into this campaign", why, "campaigns")]
    bring = Step(
        "Import pairs",
        "If you have two answers a prompt already, bring them in with or without labels.",
        "pairs",
    )
    if now.prompts:
        why = f"{_count(now.prompts, 'prompt')} without answers. Annotators compare two answers to the same prompt."
        return [Step("Generate answers", why, "generate"), bring]
    return [
        Step("Upload prompts", "Models answer them, and people say which answer is better.", "prompts"),
        bring,
    ]


def _agreement(now: Situation) -> Step | None:
    found = now.agreement
    if (
        not now.human
        or found.value is None
        or found.target is None
        or found.high is None
        or found.high >= found.target
    ):
        return None
    why = (
        f"Agreement is {found.value:.2f}, and even the upper end of its interval ({found.high:.2f}) is below the target "
        f"of {found.target:.2f}. More annotations will not change that; clearer guidelines may."
    )
    return Step("Find out why annotators disagree", why, "agreement")


def _guidelines(now: Situation) -> Step | None:
    if now.guidelines:
        return None
    return Step(
        "Write the guidelines",
        "Until you say what better means, everybody judges by their own measure.",
        "campaigns",
    )


def _second_annotator(now: Situation) -> Step | None:
    if now.k > 1:
        return None
    why = "Each pair goes to one annotator, so agreement cannot be measured."
    return Step("Ask for two annotators a pair", why, "campaigns")


def _annotate(now: Situation) -> Step | None:
    left = now.wanted - now.done
    if left <= 0:
        return None
    missing = f"{_count(left, 'judgement')} of {now.wanted:,} {'is' if left == 1 else 'are'} missing."
    if not now.human:
        nobody = (
            "Only simulated annotators have judged so far"
            if now.simulated
            else "Nobody has judged a pair yet"
        )
        return Step("Annotate", f"{nobody}; {missing}", "annotate")
    return Step("Go on annotating", missing, "annotate")


def _answers(now: Situation) -> Step | None:
    if not now.unpaired:
        return None
    return Step("Generate answers", f"{_count(now.unpaired, 'prompt')} without answers.", "generate")


def _adjudicate(now: Disputed) -> Step | None:
    left = now.pairs - now.resolved
    if not left:
        return None
    settled = (
        f" {now.resolved:,} more {'is' if now.resolved == 1 else 'are'} settled." if now.resolved else ""
    )
    if not now.drawn:
        why = f"People disagree on {_count(left, 'pair')}, though most are of one mind on each."
        return Step("Settle the closest calls", why + settled, "adjudicate")
    why = (
        f"{_count(now.drawn, 'pair')} {'is' if now.drawn == 1 else 'are'} a draw, with no label by majority, among "
        f"{left:,} on which people disagree."
    )
    return Step("Settle what people disagree on", why + settled, "adjudicate")


def _repeats(now: Situation) -> Step | None:
    if now.repeat_share or now.human < ENOUGH_FOR_REPEATS or now.done >= now.wanted:
        return None
    why = "Without planned repeats you cannot tell whether annotators agree with themselves."
    return Step("Mix in repeats", why, "campaigns")


def _train(now: Learning) -> Step | None:
    if now.newest or now.labelled < now.needed:
        return None
    why = f"{_count(now.labelled, 'pair')} with votes can teach a model which answer people prefer; it needs {now.needed:,}."
    if now.simulated == now.labelled:
        why += " All votes are simulated, so it would learn the simulation."
    return Step("Train a model", why, "train")


def _deploy(now: Learning) -> Step | None:
    if now.newest is None or now.deployed or now.newest.accuracy.low is None:
        return None
    tested = f"{now.newest.name} {agrees(now.newest.accuracy)}"
    if now.newest.accuracy.low <= 0.5:
        return Step("Train again on more labels", f"{tested}, which a coin might do too.", "train")
    return Step("Deploy a model", f"{tested}; no version is deployed.", "models")


def _retrain(now: Learning) -> Step | None:
    if now.newest is None or now.fresh < max(now.needed, WORTH_RETRAINING * now.learnt):
        return None
    why = (
        f"{_count(now.fresh, 'annotation')} came after {now.newest.name}, which learnt from {now.learnt:,}. "
        "Probe it on them, then train the next version."
    )
    return Step("Hold the model against new annotations", why, "predict")


def _compare(now: Compared) -> Step | None:
    if now.run:
        why = f"{_count(now.alerts, 'alert')} in the latest comparison: {now.run}."
        return Step("Look into what changed", why, "drift") if now.alerts else None
    if now.weeks < 2:
        return None
    why = f"Pairs were judged in {now.weeks:,} weeks. What came, what went, and where does a model err?"
    return Step("Compare two weeks", why, "drift")


def agrees(accuracy: Estimate) -> str:
    """How often a model prefers what people prefer, as the end of a sentence; the estimate has a value."""
    span = f" ({accuracy.low:.0%} to {accuracy.high:.0%})" if accuracy.low is not None else ""
    return (
        f"prefers what people prefer in {accuracy.value:.0%}{span} of {_count(accuracy.n, 'held-out pair')}"
    )


def _export(now: Situation) -> Step | None:
    if not now.human + now.simulated:
        return None
    made_up = (
        f" {now.simulated / (now.human + now.simulated):.0%} of the annotations are simulated."
        if now.simulated
        else ""
    )
    if now.done >= now.wanted:
        return Step(
            "Export the data set", f"Every pair has its {_count(now.k, 'judgement')}.{made_up}", "export"
        )
    return Step(
        "Export what there is", f"{now.done:,} of {now.wanted:,} judgements are in.{made_up}", "export"
    )


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
