"""What every provider is, and what asking one takes: retries with growing waits, and a limit on the rate."""

import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from core.generation import Complete, Completion, ProviderError, Sampling, Side
from core.records import Message, Prompt, Response

T = TypeVar("T")
FIRST_WAIT = 0.5
LONGEST_WAIT = 60.0
"""Seconds: the first wait between tries, which then doubles, and the longest that a server may ask for."""


class Provider(Protocol):
    """Something that answers a chat."""

    def complete(self, messages: Sequence[Message], settings: Sampling) -> Completion:
        """The assistant's next turn; ``settings.system`` stands before a system message of the chat's own.

        Raises ProviderError.
        """
        ...


def answering(provider: Provider, side: Side) -> Complete:
    """A function that answers prompts as ``side`` says; each further attempt has its own seed.

    What no text may hold (NUL, half of a surrogate pair) is taken out of the answers.
    """

    def complete(prompt: Prompt, attempt: int) -> Response:
        sampling = side.sampling
        if attempt:
            sampling = replace(sampling, seed=(sampling.seed or 0) + attempt)
        completion = provider.complete(prompt.messages, sampling)
        params = {
            "provider": side.provider,
            "temperature": completion.temperature,
            "max_tokens": sampling.max_tokens,
            "system": sampling.system,
            "seed": sampling.seed,
            "input_tokens": completion.input_tokens,
            "output_tokens": completion.output_tokens,
            "seconds": round(completion.seconds, 3),
        }
        text = completion.text.encode("utf-8", "replace").decode().replace("\0", "")
        return Response(text, completion.model, params)

    return complete


def split_system(messages: Sequence[Message], system: str | None) -> tuple[str | None, list[Message]]:
    """The system text (``system``, then the chat's own) and the turns without it."""
    own = [m.content for m in messages if m.role == "system"]
    texts = [text for text in (system, *own) if text]
    return "\n\n".join(texts) or None, [m for m in messages if m.role != "system"]


class RateLimit:
    """At most ``per_minute`` requests a minute, evenly spaced, over all threads; 0 is no limit."""

    def __init__(self, per_minute: int) -> None:
        self._interval = 60 / per_minute if per_minute else 0.0
        self._next = 0.0
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Return when this request may go out."""
        with self._lock:
            turn = max(self._next, time.monotonic())
            self._next = turn + self._interval
        time.sleep(max(0.0, turn - time.monotonic()))


@dataclass(frozen=True, slots=True)
class Patience:
    """How often a request is repeated, and how fast requests may follow one another."""

    retries: int
    limit: RateLimit

    def ask(self, send: Callable[[], T]) -> T:
        """``send()``, repeated while it raises a retryable ProviderError, at most ``retries`` times.

        Waits as long as the server asks for (up to 60 s, else it gives up at once), or 0.5 s, 1 s, 2 s, ... less
        up to a quarter at random (exponential backoff with jitter).
        """
        attempt = 0
        while True:
            self.limit.wait()
            try:
                return send()
            except ProviderError as error:
                if not error.retryable or attempt == self.retries:
                    raise
                backoff = min(FIRST_WAIT * 2**attempt, LONGEST_WAIT) * random.uniform(0.75, 1)
                wait = backoff if error.retry_after is None else error.retry_after
                if wait > LONGEST_WAIT:
                    raise
            time.sleep(wait)
            attempt += 1
