"""Two answers to a prompt: how each side is sampled, and many prompts answered at once."""

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from core.records import Message, Pair, Prompt, Response

MOST_CANDIDATES = 16
"""Answers a prompt may get in one go."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How a provider is asked; None leaves the choice to the provider.

    ``temperature`` is 0 to 2 and ``max_tokens`` counts the answer's tokens, a model's thinking included.
    Raises ValueError where a number is out of range.
    """

    model: str | None = None
    temperature: float | None = None
    max_tokens: int = 1024
    system: str | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 <= self.temperature <= 2:
            raise ValueError(f"The temperature must be between 0 and 2, not {self.temperature:g}.")
        if self.max_tokens < 1:
            raise ValueError(f"Max tokens must be at least 1, not {self.max_tokens}.")


@dataclass(frozen=True, slots=True)
class Side:
    """One of the two answers of a pair: which provider gives it, and how it is sampled."""

    provider: str = "mock"
    sampling: Sampling = field(default_factory=Sampling)


FOCUSED = Side(sampling=Sampling(temperature=0.2))
"""Side A unless said otherwise."""
CREATIVE = Side(sampling=Sampling(temperature=1.0))
"""Side B unless said otherwise."""


@dataclass(frozen=True, slots=True)
class Completion:
    """A provider's answer: ``model`` as the provider names it, ``seconds`` of the request that succeeded.

    ``temperature`` is what the answer was really sampled with: None where the model takes none.
    """

    text: str
    model: str
    input_tokens: int | None
    output_tokens: int | None
    seconds: float
    temperature: float | None


class ProviderError(Exception):
    """A provider gave no answer. The message says what failed and what to do, and never holds a key.

    ``status`` is the HTTP status, if there was one; ``retry_after`` the seconds the server asks to wait.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.status = status
        self.retry_after = retry_after


@dataclass(frozen=True, slots=True)
class Failure:
    """A prompt that got no pair, and why."""

    prompt_id: str
    reason: str


Complete = Callable[[Prompt, int], Response]
"""Answers a prompt; the number counts the times this prompt is asked, so that a seeded provider can vary.

Raises ProviderError.
"""


def generate_pairs(
    prompts: Iterable[Prompt],
    complete_a: Complete,
    complete_b: Complete,
    *,
    on_result: Callable[[list[Pair | Failure]], None],
    workers: int = 4,
    candidates: int = 2,
    should_stop: Callable[[], bool] = lambda: False,
    patience: float = 5.0,
) -> None:
    """Answer every prompt, ``workers`` prompts at a time: side A once, side B until there are ``candidates`` in all.

    Each different answer of B makes a pair with A's, so that best-of-n has ``candidates - 1`` pairs to choose by.
    ``on_result`` is called in this thread, once a prompt, in the order in which they finish. A prompt whose
    provider fails is a Failure and costs only itself. Once ``should_stop`` says so no prompt is begun, and
    those under way have ``patience`` seconds to finish.
    """
    todo = iter(prompts)
    running: set[Future[list[Pair | Failure]]] = set()
    pool = ThreadPoolExecutor(workers, thread_name_prefix="generate")
    try:
        while not should_stop():
            for prompt in islice(todo, workers - len(running)):
                running.add(pool.submit(_answer, prompt, complete_a, complete_b, candidates))
            if not running:
                break
            finished, running = wait(running, timeout=0.1, return_when=FIRST_COMPLETED)
            for future in finished:
                on_result(future.result())
        for future in wait(running, timeout=patience).done:
            on_result(future.result())
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _answer(
    prompt: Prompt, complete_a: Complete, complete_b: Complete, candidates: int
) -> list[Pair | Failure]:
    found: dict[str, Pair | Failure] = {}
    try:
        a = complete_a(prompt, 0)
        for attempt in range(candidates):
            b = complete_b(prompt, attempt)
            if a.text.strip() != b.text.strip():
                found.setdefault(b.text.strip(), Pair(prompt, a, b))
            if len(found) == candidates - 1:
                break
    except ProviderError as error:
        return list(found.values()) or [Failure(prompt.id, str(error))]
    return list(found.values()) or [
        Failure(
            prompt.id,
            "Both sides gave the same answer, every time. Raise the temperature of B or choose another model.",
        )
    ]


def prompt_to_row(prompt: Prompt) -> dict[str, Any]:
    """A prompt as JSON, from which ``prompt_from_row`` makes the same prompt."""
    return {
        "messages": [{"role": m.role, "content": m.content} for m in prompt.messages],
        "category": prompt.category,
        "tags": list(prompt.tags),
        "attributes": dict(prompt.attributes),
    }


def prompt_from_row(row: Mapping[str, Any]) -> Prompt:
    """The inverse of ``prompt_to_row``."""
    messages = tuple(Message(m["role"], m["content"]) for m in row["messages"])
    return Prompt(messages, row["category"], tuple(row["tags"]), row["attributes"])


def result_to_row(result: Pair | Failure) -> dict[str, Any]:
    """What ``generate_pairs`` found for one prompt, as JSON."""
    if isinstance(result, Failure):
        return {"prompt_id": result.prompt_id, "reason": result.reason}
    a, b = (
        {"text": r.text, "model": r.model, "params": dict(r.params)}
        for r in (result.response_a, result.response_b)
    )
    return {
        "prompt_id": result.prompt.id,
        "prompt": prompt_to_row(result.prompt),
        "response_a": a,
        "response_b": b,
    }


def result_from_row(row: Mapping[str, Any]) -> Pair | Failure:
    """The inverse of ``result_to_row``."""
    if "reason" in row:
        return Failure(row["prompt_id"], row["reason"])
    a, b = (Response(r["text"], r["model"], r["params"]) for r in (row["response_a"], row["response_b"]))
    return Pair(prompt_from_row(row["prompt"]), a, b)
