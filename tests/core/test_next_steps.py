"""What to do next: the rules, and that there is always something."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from core.estimate import Estimate
from core.next_steps import Compared, Disputed, Learning, Situation, Version, next_steps

LOW = Estimate(0.4, 0.3, 0.5, 100, target=0.8)
UNSURE = Estimate(0.7, 0.5, 0.9, 100, target=0.8)
NONE = Estimate.unavailable("No pair has two annotators.")
RUNNING = Situation(
    prompts=100, unpaired=0, stored_pairs=100, pairs=100, done=150, wanted=300, k=3, human=150, simulated=0,
    guidelines=True, repeat_share=0.1, agreement=UNSURE, learning=Learning(needed=50, labelled=0),
)  # fmt: skip


def titles(situation: Situation) -> list[str]:
    return [step.title for step in next_steps(situation)]


def test_an_empty_store_asks_for_prompts_or_pairs() -> None:
    empty = Situation(0, 0, 0, 0, 0, 0, 3, 0, 0, False, 0.0, NONE, Learning(50, 0))
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


GOOD = Version("helpful 1.2.0", Estimate(0.81, 0.77, 0.85, 300))
COIN = Version("helpful 1.2.0", Estimate(0.55, 0.42, 0.67, 60))
UNTESTED = Version("helpful 1.2.0", NONE)


def learning(**facts: object) -> list[tuple[str, str, str]]:
    """The steps about models: title, reason and page."""
    now = replace(RUNNING, learning=Learning(needed=50, **{"labelled": 100, **facts}))  # type: ignore[arg-type]
    return [(step.title, step.why, step.page) for step in next_steps(now)[1:-1]]


def test_enough_labels_and_no_model_ask_for_one() -> None:
    assert learning(labelled=49) == []
    assert learning(labelled=50) == [
        (
            "Train a model",
            "50 pairs with votes can teach a model which answer people prefer; it needs 50.",
            "train",
        )
    ]
    assert "simulated" not in learning(simulated=99)[0][1]
    assert learning(simulated=100)[0][1].endswith("so it would learn the simulation.")


def test_a_tested_model_is_deployed_unless_a_coin_might_be_as_good() -> None:
    why = "helpful 1.2.0 prefers what people prefer in 81% (77% to 85%) of 300 held-out pairs; no version is deployed."
    assert learning(newest=GOOD) == [("Deploy a model", why, "models")]
    assert learning(newest=GOOD, deployed=GOOD) == learning(newest=UNTESTED) == []
    assert [(title, page) for title, _, page in learning(newest=COIN)] == [
        ("Train again on more labels", "train")
    ]


def test_many_new_annotations_ask_for_a_probe() -> None:
    models = {"newest": GOOD, "deployed": GOOD, "learnt": 1000}
    assert learning(**models, fresh=199) == []
    ((title, why, page),) = learning(**models, fresh=200)
    assert (title, page) == ("Hold the model against new annotations", "predict")
    assert why.startswith("200 annotations came after helpful 1.2.0, which learnt from 1,000.")
    assert learning(**{**models, "learnt": 10}, fresh=49) == [], "few are few, whatever it learnt from"


def test_disputed_pairs_are_settled_draws_above_all() -> None:
    def said(pairs: int, resolved: int, drawn: int) -> list[tuple[str, str]]:
        now = replace(RUNNING, disputed=Disputed(pairs, resolved, drawn))
        return [(step.title, step.why) for step in next_steps(now) if step.page == "adjudicate"]

    assert said(0, 0, 0) == said(5, 5, 0) == []
    ((title, why),) = said(12, 2, 3)
    assert title == "Settle what people disagree on"
    assert (
        why
        == "3 pairs are a draw, with no label by majority, among 10 on which people disagree. 2 more are settled."
    )
    ((title, why),) = said(1, 0, 0)
    assert (
        title == "Settle the closest calls"
        and why == "People disagree on 1 pair, though most are of one mind on each."
    )


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
    st.builds(
        Learning, counts, counts, counts, *[st.sampled_from([None, GOOD, COIN, UNTESTED])] * 2, counts, counts
    ),
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
    learning: Learning,
) -> None:
    wanted = pairs * k
    done = min(done, wanted, human + simulated)
    now = Situation(
        prompts, 0, pairs + extra, pairs, done, wanted, k, human, simulated, guidelines, 0.0, agreement, learning,
    )  # fmt: skip
    found = next_steps(now)
    assert found
    assert len({step.title for step in found}) == len(found)
    assert all(step.why.endswith(".") for step in found)


def test_two_weeks_ask_to_be_compared_and_alerts_to_be_looked_into() -> None:
    def drift(**known: object) -> list[tuple[str, str]]:
        found = next_steps(replace(RUNNING, compared=Compared(**known)))  # type: ignore[arg-type]
        return [(step.title, step.why) for step in found if step.page == "drift"]

    assert drift(weeks=1) == []
    ((title, why),) = drift(weeks=2)
    assert title == "Compare two weeks" and why.startswith("Pairs were judged in 2 weeks.")
    assert drift(weeks=2, run="pairs, May against June") == []
    assert drift(run="pairs, May against June", alerts=2) == [
        ("Look into what changed", "2 alerts in the latest comparison: pairs, May against June.")
    ]
