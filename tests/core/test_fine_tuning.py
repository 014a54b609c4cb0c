"""Fine-tuning: OpenAI's documented shapes, what is refused, and what it costs."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.exporting import Candidate, InvalidRow, Policy, export
from core.fine_tuning import LEAST, Plan, Tuning, plan
from core.records import Choice, Message, Prompt, Response

TUNING = Tuning("gpt-4.1-mini", "preference", epochs=3, price=25.0, budget=50.0)
ALL = Policy("conversational", splits=(1, 0, 0))
COLD = "Hello, can you tell me how cold San Francisco is today?"
CHOSEN = "Today in San Francisco, it is not quite cold as expected. Morning clouds will give away to sunshine, with a high near 68°F (20°C) and a low around 57°F (14°C)."
REJECTED = "It is not particularly cold in San Francisco today."


def pair(prompt: Prompt | str, a: str, b: str, label: Choice = "a", simulated: int = 0) -> Candidate:
    prompt = Prompt.from_text(prompt) if isinstance(prompt, str) else prompt
    name = f"{prompt.id}{a}{b}"
    return Candidate(name, prompt, Response(a), Response(b), {label: 3}, label, 1.0, simulated)


def many(n: int, **given: Any) -> list[Candidate]:
    return [pair(f"Question {i}?", "Yes.", "No.", **given) for i in range(n)]


def planned(*candidates: Candidate, policy: Policy = ALL, **changes: Any) -> Plan:
    return plan(export(candidates, policy), replace(TUNING, **changes))


def test_the_preference_shape_is_that_of_the_documentation() -> None:
    """OpenAI, "Direct preference optimization", Data format; tools are left out, since there are none."""
    assert planned(pair(COLD, CHOSEN, REJECTED)).train == [
        {
            "input": {"messages": [{"role": "user", "content": COLD}]},
            "preferred_output": [{"role": "assistant", "content": CHOSEN}],
            "non_preferred_output": [{"role": "assistant", "content": REJECTED}],
        }
    ]


def test_the_supervised_shape_is_that_of_the_documentation() -> None:
    chat = Prompt((Message("system", "Be factual."), Message("user", "Capital of France?")))
    assert planned(pair(chat, "Rome.", "Paris.", "b"), shape="supervised").train == [
        {
            "messages": [
                {"role": "system", "content": "Be factual."},
                {"role": "user", "content": "Capital of France?"},
                {"role": "assistant", "content": "Paris."},
            ]
        }
    ]


def test_an_answer_that_won_twice_is_shown_once() -> None:
    pairs = [pair("Why?", "Because.", other) for other in ("No.", "Never.")]
    assert len(planned(*pairs, shape="supervised").train) == 1
    assert len(planned(*pairs, shape="preference").train) == 2


TEXTS = st.text(min_size=1, max_size=30).filter(lambda text: text.strip() and "\0" not in text)


@settings(max_examples=40)
@given(st.lists(st.tuples(TEXTS, TEXTS, TEXTS), max_size=8))
def test_whatever_people_said_is_sent_in_shape_or_refused_by_row(texts: list[tuple[str, str, str]]) -> None:
    pairs = {one.pair_id: one for one in (pair(*text) for text in texts)}
    for shape in ("supervised", "preference"):
        try:
            found = planned(*pairs.values(), shape=shape)
        except InvalidRow as error:
            assert f"row {error.row}" in str(error)
            continue
        for example in found.train:
            chats = [example["messages"]] if shape == "supervised" else [example["input"]["messages"]]
            chats += (
                []
                if shape == "supervised"
                else [example["preferred_output"], example["non_preferred_output"]]
            )
            assert all(
                set(message) == {"role", "content"} and message["content"].strip()
                for chat in chats
                for message in chat
            )
            assert [chat[-1]["role"] for chat in chats] == (
                ["assistant"] if shape == "supervised" else ["user", "assistant", "assistant"]
            )
        assert len({json.dumps(example) for example in found.train}) == len(found.train)
        assert found.tokens >= len(found.train)  # fmt: skip


def test_the_estimate_is_the_rule_by_hand() -> None:
    """12 bytes make 4 tokens, and each message 4 more; either answer of a preference is read after the prompt."""
    pairs = [pair(f"prompt-{i:05}", "answer-aaaaa", "answer-bbbbb") for i in range(LEAST)]
    supervised, preference = (planned(*pairs, shape=shape) for shape in ("supervised", "preference"))
    assert (supervised.tokens, preference.tokens) == (LEAST * 16, LEAST * 32)
    assert supervised.cost == pytest.approx(LEAST * 16 * 3 * 25 / 1e6)
    assert TUNING.cost(2_000_000) == 50.0


def test_too_few_examples_and_too_high_a_cost_are_refused_with_both_figures() -> None:
    assert "at least 10 examples, and there are 9" in str(planned(*many(9)).refusal)
    assert planned(*many(10)).refusal is None
    dear = planned(*many(10), price=1e5)
    assert str(dear.refusal).startswith(f"It would cost about {dear.cost:,.2f}, and the budget is 50.00")
    assert planned(*many(10), price=1e5, budget=dear.cost).refusal is None


def test_what_one_should_know_is_said_and_the_test_part_stays() -> None:
    pairs = many(200, simulated=1)
    parts = planned(*pairs, policy=replace(ALL, splits=(0.5, 0.25, 0.25)))
    assert len(parts.train) + len(parts.validation) + parts.kept_back == 200
    assert (
        parts.warnings == ["150 pairs rest on votes of simulated annotators, if only in part."]
        or parts.simulated == 200
    )
    few = planned(*many(12))
    assert [warning.split(":")[0].split(" ")[0] for warning in few.warnings] == ["Only", "No"]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"model": " "}, "model: name"),
        ({"shape": "kto"}, "shape: 'kto'"),
        ({"epochs": 0}, "epochs: 0 is not between 1 and 50"),
        ({"price": float("nan")}, "price: give"),
        ({"price": -1.0}, "price: give"),
        ({"budget": 0.0}, "budget: give"),
        ({"budget": float("inf")}, "budget: give"),
        ({"suffix": "x" * 65}, "suffix: it has"),
    ],
)
def test_settings_that_cannot_be_are_refused(change: dict[str, Any], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        replace(TUNING, **change)


def test_a_text_that_a_provider_would_refuse_names_its_row() -> None:
    with pytest.raises(InvalidRow, match="row 1, field prompt: does not end with the user's turn"):
        planned(pair(Prompt((Message("user", "Hi"), Message("assistant", "Hello"))), "a", "b"))
