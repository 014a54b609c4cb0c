"""What a project should do next, and why: rules over a few counts, the most pressing step first."""

from dataclasses import dataclass

from core.estimate import Estimate

ENOUGH_FOR_REPEATS = 50
"""Annotations by people from which on it is worth asking whether they agree with themselves."""


@dataclass(frozen=True, slots=True)
class Situation:
    """Where a project and one of its campaigns stand.

    ``prompts`` in use, of which ``unpaired`` have no pair; ``stored_pairs`` in the store, ``pairs`` in the campaign;
    ``done`` judgements of the ``wanted`` (``k`` a pair); annotations by people (``human``, imported ones included) and
    by ``simulated`` annotators; ``guidelines`` says whether there are any; ``agreement`` is the headline figure.
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
        _repeats(now),
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


def _repeats(now: Situation) -> Step | None:
    if now.repeat_share or now.human < ENOUGH_FOR_REPEATS or now.done >= now.wanted:
        return None
    why = "Without planned repeats you cannot tell whether annotators agree with themselves."
    return Step("Mix in repeats", why, "campaigns")


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
