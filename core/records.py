"""What enters Attune from outside: prompts, responses, pairs and judgements, each with an id made from its content."""

import gc
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from typing import Generic, Literal, TypeVar

T = TypeVar("T")
Choice = Literal["a", "b", "tie", "both_bad", "skip"]
CHOICES: tuple[Choice, ...] = ("a", "b", "tie", "both_bad")
CATEGORIES = ("math", "coding", "reasoning", "general")
MAX_TEXT = 200_000
"""Characters a prompt or a response may have."""


@contextmanager
def uncollected() -> Iterator[None]:
    """Puts the cyclic garbage collector off while records are made by the hundred thousand, which hold no cycles.

    It would look at all there are again and again, for a third of the time of an import. Other threads go uncollected meanwhile too.
    """
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def content_id(kind: str, *parts: str | None) -> str:
    """A text key: ``kind``, then the first 24 hex digits of the SHA-256 of the parts."""
    sized = "".join(["-" if part is None else f"{len(part)}:{part}" for part in parts])
    return f"{kind}_{hashlib.sha256(sized.encode('utf-8', 'surrogatepass')).hexdigest()[:24]}"


@dataclass(frozen=True)
class Message:
    """One turn of a chat; ``role`` is system, user or assistant."""

    role: str
    content: str


@dataclass(frozen=True)
class Prompt:
    """A prompt: a list of chat messages that ends with the user's turn; single-turn text is one user message."""

    messages: tuple[Message, ...]
    category: str = "general"
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str, category: str = "general", **rest: object) -> "Prompt":
        return cls((Message("user", text),), category, **rest)  # type: ignore[arg-type]

    @cached_property
    def id(self) -> str:
        """Same messages, same prompt: white space at the ends does not count."""
        return content_id("p", *(part for m in self.messages for part in (m.role, m.content.strip())))

    @property
    def text(self) -> str:
        """The last turn, which the responses answer."""
        return self.messages[-1].content


@dataclass(frozen=True)
class Response:
    """One answer to a prompt; ``model`` and ``params`` (temperature, max_tokens, system, ...) where known."""

    text: str
    model: str | None = None
    params: Mapping[str, str | float | int | None] = field(default_factory=dict)

    def id(self, prompt_id: str) -> str:
        return content_id("r", prompt_id, self.model, self.text)


@dataclass(frozen=True)
class Pair:
    """Two responses to one prompt.

    ``external_id`` is the pair's name where it came from; two pairs with different names are two pairs even when
    their texts are equal. ``label`` is the preference that came with the pair, if any.
    """

    prompt: Prompt
    response_a: Response
    response_b: Response
    external_id: str | None = None
    label: Choice | None = None

    @cached_property
    def id(self) -> str:
        """From the external id where there is one; else from the two responses, whichever comes first."""
        if self.external_id is not None:
            return content_id("x", self.external_id)
        return content_id("x", self.prompt.id, *sorted(self.response_ids))

    @cached_property
    def response_ids(self) -> tuple[str, str]:
        """The ids of response a and response b; of identical ones too they differ, as it counts which was chosen."""
        a, b = self.response_a.id(self.prompt.id), self.response_b.id(self.prompt.id)
        return a, b if b != a else content_id("r", a)


@dataclass(frozen=True)
class Judgement:
    """One annotator's choice on one pair, as it came in a file; ``choice`` is relative to ``pair``'s own a and b."""

    pair: Pair
    annotator: str
    choice: Choice
    confidence: int | None = None
    reason: str | None = None
    seconds: float | None = None
    submitted_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that did not enter, and why: ``row`` counts from 1, ``field`` is None where the whole row is meant."""

    row: int
    field: str | None
    reason: str


@dataclass(frozen=True)
class Parsed(Generic[T]):
    """What a file held: ``rows`` are (row number, record), ``refused`` the rest; together they are all its rows."""

    rows: list[tuple[int, T]]
    refused: list[Refusal]
