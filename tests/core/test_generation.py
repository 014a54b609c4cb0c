"""Pairs from two sides: what a failure costs, identical answers, stopping, and the way through JSON."""

import json
import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.generation import (
    Failure,
    ProviderError,
    Sampling,
    generate_pairs,
    prompt_from_row,
    prompt_to_row,
    result_from_row,
    result_to_row,
)
from core.records import Message, Pair, Prompt, Response


def prompts(n: int) -> list[Prompt]:
    return [Prompt.from_text(f"Question {i}") for i in range(n)]


def focused(prompt: Prompt, attempt: int) -> Response:
    return Response(f"A on {prompt.text}", "a")


def creative(prompt: Prompt, attempt: int) -> Response:
    return Response(f"B on {prompt.text}", "b")


def test_every_prompt_gets_its_pair_once() -> None:
    results: list[Pair | Failure] = []
    generate_pairs(prompts(50), focused, creative, workers=8, on_result=results.extend)
    assert sorted(r.prompt.text for r in results if isinstance(r, Pair)) == sorted(
        p.text for p in prompts(50)
    )
    for pair in results:
        assert isinstance(pair, Pair)
        assert pair.response_a.text == f"A on {pair.prompt.text}"
        assert pair.response_b.text == f"B on {pair.prompt.text}"


def test_a_failed_prompt_costs_only_itself() -> None:
    def sometimes(prompt: Prompt, attempt: int) -> Response:
        if prompt.text.endswith("3"):
            raise ProviderError("It is down.")
        return creative(prompt, attempt)

    results: list[Pair | Failure] = []
    generate_pairs(prompts(20), focused, sometimes, on_result=results.extend)
    failures = [r for r in results if isinstance(r, Failure)]
    lost = {p.id for p in prompts(20) if p.text.endswith("3")}
    assert {f.prompt_id for f in failures} == lost
    assert {f.reason for f in failures} == {"It is down."}
    assert len(results) == 20


def test_identical_answers_get_one_more_try() -> None:
    asked: list[int] = []

    def same_at_first(prompt: Prompt, attempt: int) -> Response:
        asked.append(attempt)
        return Response("  Same.\n" if attempt == 0 else "Other.", "b")

    results: list[Pair | Failure] = []
    generate_pairs(prompts(1), lambda p, n: Response("Same.", "a"), same_at_first, on_result=results.extend)
    assert isinstance(results[0], Pair) and results[0].response_b.text == "Other."
    assert asked == [0, 1]


def test_identical_twice_is_refused_with_a_reason() -> None:
    results: list[Pair | Failure] = []
    generate_pairs(prompts(1), focused, focused, on_result=results.extend)
    assert isinstance(results[0], Failure)
    assert "the same answer, every time" in results[0].reason


def test_no_more_than_workers_at_once() -> None:
    lock, now, most = threading.Lock(), 0, 0

    def counted(prompt: Prompt, attempt: int) -> Response:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return focused(prompt, attempt)

    generate_pairs(prompts(20), counted, creative, workers=3, on_result=lambda _: None)
    assert most == 3


def test_stopping_takes_what_is_under_way_and_begins_no_more() -> None:
    begun: list[str] = []
    results: list[Pair | Failure] = []

    def slow(prompt: Prompt, attempt: int) -> Response:
        begun.append(prompt.text)
        time.sleep(0.15)
        return focused(prompt, attempt)

    generate_pairs(
        prompts(1000),
        slow,
        creative,
        workers=2,
        on_result=results.extend,
        should_stop=lambda: len(results) >= 2,
    )
    assert 2 <= len(results) == len(begun) < 100


def test_stopping_does_not_wait_for_ever() -> None:
    free = threading.Event()

    def stuck(prompt: Prompt, attempt: int) -> Response:
        free.wait(120)
        return focused(prompt, attempt)

    started, results = time.monotonic(), list[Pair | Failure]()
    asked_to_stop = lambda: time.monotonic() - started > 0.2  # noqa: E731
    generate_pairs(
        prompts(3), stuck, creative, on_result=results.extend, should_stop=asked_to_stop, patience=0.2
    )
    assert time.monotonic() - started < 60
    assert results == []
    free.set()


def test_a_defect_is_not_hidden_as_a_failure() -> None:
    def broken(prompt: Prompt, attempt: int) -> Response:
        raise KeyError("defect")

    with pytest.raises(KeyError):
        generate_pairs(prompts(3), broken, creative, on_result=lambda _: None)


def test_candidates() -> None:
    def three(prompt: Prompt, attempt: int) -> Response:
        return Response(f"Answer {attempt % 3}", "m")

    results = list[Pair | Failure]()
    generate_pairs(prompts(1), focused, three, candidates=6, on_result=results.extend)
    pairs = [r for r in results if isinstance(r, Pair)]
    assert {p.response_a.text for p in pairs} == {focused(prompts(1)[0], 0).text}
    assert [p.response_b.text for p in pairs] == ["Answer 0", "Answer 1", "Answer 2"]


@pytest.mark.parametrize("wrong", [{"temperature": -0.1}, {"temperature": 2.5}, {"max_tokens": 0}])
def test_sampling_out_of_range(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Sampling(**wrong)  # type: ignore[arg-type]


text = st.text(st.characters(exclude_categories=["Cs"]))


@given(
    st.lists(st.tuples(st.sampled_from(["system", "user", "assistant"]), text), min_size=1),
    st.lists(text),
    st.dictionaries(text, text),
    text,
    text,
)
def test_the_way_through_json_changes_nothing(
    turns: list[tuple[str, str]], tags: list[str], attributes: dict[str, str], a: str, b: str
) -> None:
    prompt = Prompt(tuple(Message(*turn) for turn in turns), "math", tuple(tags), attributes)
    pair = Pair(prompt, Response(a, "m", {"temperature": 0.2, "seed": None}), Response(b))
    assert prompt_from_row(json.loads(json.dumps(prompt_to_row(prompt)))) == prompt
    for result in (pair, Failure(prompt.id, a)):
        assert result_from_row(json.loads(json.dumps(result_to_row(result)))) == result
