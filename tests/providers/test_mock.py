"""The mock: deterministic, offline, and varied enough that a pair looks real."""

import re
import subprocess
import sys

import pytest

from core.generation import Sampling, Side
from core.records import Message, Prompt
from providers.base import answering
from providers.mock import Mock

QUESTIONS = [
    f"Explain {a} {b}" for a in ("tides", "taxes", "rivers", "bridges") for b in ("simply", "fully", "twice")
]


def say(question: str, **sampling: object) -> str:
    return Mock().complete([Message("user", question)], Sampling(**sampling)).text  # type: ignore[arg-type]


def test_the_same_question_gets_the_same_answer_in_another_process() -> None:
    code = (
        "from providers.mock import Mock; from core.records import Message; from core.generation import Sampling;"
        "print(Mock().complete([Message('user', 'Explain tides')], Sampling(temperature=0.9)).text)"
    )
    command = [sys.executable, "-c", code]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.rstrip("\n") == say("Explain tides", temperature=0.9)


@pytest.mark.parametrize(
    "change", [{"temperature": 0.4}, {"seed": 1}, {"model": "other"}, {"system": "Be brief."}]
)
def test_what_the_answer_depends_on(change: dict[str, object]) -> None:
    changed = [say(q, **{"temperature": 0.5, **change}) != say(q, temperature=0.5) for q in QUESTIONS]
    assert sum(changed) >= len(QUESTIONS) - 1


def test_at_temperature_zero_the_seed_does_not_matter() -> None:
    assert len({say("Explain tides", temperature=0, seed=seed) for seed in range(5)}) == 1


def test_warm_answers_are_longer_and_more_varied() -> None:
    cold = [say(q, temperature=0.1, seed=s) for q in QUESTIONS for s in range(10)]
    warm = [say(q, temperature=1.0, seed=s) for q in QUESTIONS for s in range(10)]
    assert sum(map(len, warm)) > 1.15 * sum(map(len, cold))


def test_sides_of_a_pair_differ() -> None:
    a = answering(Mock(), Side(sampling=Sampling(temperature=0.2)))
    b = answering(Mock(), Side(sampling=Sampling(temperature=1.0)))
    prompts = [Prompt.from_text(q) for q in QUESTIONS]
    assert all(a(p, 0).text != b(p, 0).text for p in prompts)


def test_a_sum_is_mostly_right_when_cold_and_sometimes_wrong_when_hot() -> None:
    def right(temperature: float) -> int:
        answers = [say("What is 17 + 25?", temperature=temperature, seed=seed) for seed in range(100)]
        return sum("**Answer: 42**" in answer for answer in answers)

    assert right(0.1) > 90 > right(1.0) > 50


def test_code_is_in_a_fence_and_compiles() -> None:
    for seed in range(20):
        answer = say("Write a Python function that removes duplicates", temperature=1.0, seed=seed)
        (code,) = re.findall(r"```python\n(.*?)```", answer, re.DOTALL)
        compile(code, "answer", "exec")


def test_max_tokens_cuts_the_answer() -> None:
    completion = Mock().complete([Message("user", "Explain tides")], Sampling(max_tokens=5))
    assert len(completion.text.split()) == completion.output_tokens == 5


def test_any_text_is_answered() -> None:
    for question in ("", "{}", "{topic!r}", "日本語で答えて", "\ud800", "\u2028", "%s" * 1000):
        assert say(question)
