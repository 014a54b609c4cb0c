"""What to do next: the rules, and that there is always something."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.estimate import Estimate
from core.next_steps import Situation, next_steps

LOW = Estimate(0.4, 0.3, 0.5, 100, target=0.8)
UNSURE = Estimate(0.7, 0.5, 0.9, 100, target=0.8)
NONE = Estimate.unavailable("No pair has two annotators.")
RUNNING = Situation(
    prompts=100, unpaired=0, stored_pairs=100, pairs=100, done=150, wanted=300, k=3, human=150, simulated=0,
    guidelines=True, repeat_share=0.1, agreement=UNSURE,
)  # fmt: skip


def titles(situation: Situation) -> list[str]:
    return [step.title for step in next_steps(situation)]


def test_an_empty_store_asks_for_prompts_or_pairs() -> None:
    empty = Situation(0, 0, 0, 0, 0, 0, 3, 0, 0, False, 0.0, NONE)
    assert titles(empty) == ["Upload prompts", "Import pairs"]
    assert titles(replace(empty, prompts=5, unpaired=5)) == ["Generate answers", "Import pairs"]


def test_pairs_outside_the_campaign_are_put_into_it() -> None:
    assert titles(replace(RUNNING, pairs=0, done=0, wanted=0)) == ["Put pairs into this campaign"]


def test_a_running_campaign_goes_on() -> None:
    assert titles(RUNNING) == ["Go on annotating", "Export what there is"]
    assert next_steps(RUNNING)[0].why == "150 judgements of 300 are missing."


def test_agreement_surely_below_its_target_comes_first_but_only_with_people() -> None:
    assert titles(replace(RUNNING, agreement=LOW))[0] == "Find out why annotators disagree"
    assert "Find out why annotators disagree" not in titles(
        replace(RUNNING, agreement=LOW, human=0, simulated=150)
    )


def test_what_is_missing_is_asked_for() -> None:
    assert titles(replace(RUNNING, guidelines=False))[0] == "Write the guidelines"
    assert "Ask for two annotators a pair" in titles(replace(RUNNING, k=1))
    assert "Mix in repeats" in titles(replace(RUNNING, repeat_share=0.0))
    assert "Mix in repeats" not in titles(replace(RUNNING, repeat_share=0.0, human=49))
    assert "Generate answers" in titles(replace(RUNNING, unpaired=1))


def test_a_finished_campaign_is_exported_and_says_what_is_simulated() -> None:
    done = replace(RUNNING, done=300, human=100, simulated=100)
    assert titles(done) == ["Export the data set"]
    assert next_steps(done)[0].why == "Every pair has its 3 judgements. 50% of the annotations are simulated."


def test_one_is_said_in_the_singular() -> None:
    assert next_steps(replace(RUNNING, done=299))[0].why == "1 judgement of 300 is missing."


counts = st.integers(0, 10)


@given(
    counts,
    counts,
    counts,
    counts,
    st.integers(1, 3),
    counts,
    counts,
    st.booleans(),
    st.sampled_from([LOW, UNSURE, NONE]),
)
def test_there_is_always_a_next_step(
    prompts: int,
    extra: int,
    pairs: int,
    done: int,
    k: int,
    human: int,
    simulated: int,
    guidelines: bool,
    agreement: Estimate,
) -> None:
    wanted = pairs * k
    done = min(done, wanted, human + simulated)
    now = Situation(
        prompts, 0, pairs + extra, pairs, done, wanted, k, human, simulated, guidelines, 0.0, agreement
    )
    found = next_steps(now)
    assert found
    assert len({step.title for step in found}) == len(found)
    assert all(step.why.endswith(".") for step in found)
