"""The rows of an uploaded file into prompts, pairs and judgements; a row that is not one is refused with its reason."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from itertools import chain
from typing import Literal, TypeVar, cast

from core.reading import FileError, Row, forbidden, kind_of
from core.records import (
    CHOICES,
    MAX_TEXT,
    Choice,
    Judgement,
    Message,
    Pair,
    Parsed,
    Prompt,
    Refusal,
    Response,
    uncollected,
)

T = TypeVar("T")
Rows = Sequence[tuple[int, Row]]
MAX_NAME = 200
"""Characters a category, a tag, a pair id, or the name of a model or an annotator may have."""

_PROMPT_NAMES = ("text", "prompt", "question", "instruction", "query", "messages", "turns", "conversation")
_CATEGORY_NAMES = ("category", "topic", "cluster")
_PAIR_NAMES: Mapping[str, tuple[str, ...]] = {
    "prompt": ("prompt", *_PROMPT_NAMES),
    "response_a": ("response_a", "answer_a", "output_a", "completion_a"),
    "response_b": ("response_b", "answer_b", "output_b", "completion_b"),
    "choice": ("choice", "label", "preference"),
    "annotator": ("annotator", "annotator_id", "worker"),
    "pair_id": ("pair_id",),
    "category": _CATEGORY_NAMES,
    "model_a": ("model_a",),
    "model_b": ("model_b",),
    "confidence": ("confidence",),
    "reason": ("reason", "rationale"),
    "seconds": ("seconds",),
    "submitted_at": ("submitted_at",),
}
_ROLES = ("system", "user", "assistant")
_SWAPPED: Mapping[Choice | None, Choice] = {"a": "b", "b": "a"}
_HH_TURN = re.compile(r"\n\n(Human|Assistant):")
_HH_ROLE = {"Human": "user", "Assistant": "assistant"}


@dataclass(frozen=True)
class PromptColumns:
    """Which column holds what: ``prompt`` is text, a list of chat messages, or a list of the user's turns."""

    prompt: str
    category: str | None = None
    tags: str | None = None
    attributes: tuple[str, ...] = ()


@dataclass(frozen=True)
class PairColumns:
    """Which column holds what, in pairs and in judgements; None where the file does not have it."""

    prompt: str = "prompt"
    response_a: str = "response_a"
    response_b: str = "response_b"
    choice: str | None = None
    annotator: str | None = None
    pair_id: str | None = None
    category: str | None = None
    model_a: str | None = None
    model_b: str | None = None
    confidence: str | None = None
    reason: str | None = None
    seconds: str | None = None
    submitted_at: str | None = None


class RowError(ValueError):
    """A row that is not one; ``field`` is the column, None where the whole row is meant."""

    def __init__(self, field: str | None, reason: str) -> None:
        self.field, self.reason = field, reason


def guess_columns(rows: Rows) -> PromptColumns:
    """Propose a mapping from the usual column names; every other column of short plain values is an attribute.

    Raises FileError where no column has the usual name of a prompt.
    """
    columns = _columns(rows)
    prompt = _find(columns, _PROMPT_NAMES)
    if prompt is None:
        raise _no_column("the prompt", _PROMPT_NAMES, columns)
    category, tags = _find(columns, _CATEGORY_NAMES), _find(columns, ("tags",))
    rest = (c for c in columns if c not in (prompt, category, tags))
    attributes = tuple(c for c in rest if all(_is_short(row.get(c)) for _, row in rows))
    return PromptColumns(prompt, category, tags, attributes)


def guess_pair_columns(rows: Rows) -> PairColumns:
    """Propose a mapping for pairs or judgements from the usual column names.

    Raises FileError where the prompt or one of the two responses has no such column.
    """
    columns = _columns(rows)
    found = {part: _find(columns, names) for part, names in _PAIR_NAMES.items()}
    for part in ("prompt", "response_a", "response_b"):
        if found[part] is None:
            raise _no_column(part, _PAIR_NAMES[part], columns)
    return PairColumns(**cast("dict[str, str]", found))


def read_prompts(rows: Rows, mapping: PromptColumns, default_category: str = "general") -> Parsed[Prompt]:
    """Read a prompt from each row; the same prompt twice comes back twice, with one id.

    Of a list of the user's turns the first is the prompt: later turns answer a response that is not in the file.
    Tags are a list, or text with commas or semicolons between them. Empty values of attributes are left out.

    Raises FileError where a mapped column is in no row.
    """
    _require(rows, mapping.prompt, mapping.category, mapping.tags, *mapping.attributes)

    def read(row: Row) -> Prompt:
        value = row.get(mapping.prompt)
        if isinstance(value, list) and value and all(isinstance(turn, str) for turn in value):
            value = value[0]
        attributes = {name: _attribute(row, name) for name in mapping.attributes}
        return Prompt(
            _messages(value, mapping.prompt),
            name_of(row, mapping.category) or default_category,
            _tags(row, mapping.tags),
            {name: text for name, text in attributes.items() if text is not None},
        )

    return read_each(rows, read)


def read_pairs(
    rows: Rows,
    format: Literal["trl", "hh", "csv"],
    columns: PairColumns | None = None,
    default_category: str = "general",
) -> Parsed[Pair]:
    """Read a pair from each row, its label where the row has one; two answers that are the same are refused.

    - ``trl``: ``chosen`` and ``rejected``, text or lists of chat messages, with a ``prompt`` or with the prompt as
      what both begin with. TRL (``trl.extract_prompt``) cuts text after the last common character; here the cut goes
      back to the start of the word, so that no answer begins inside one.
    - ``hh``: ``chosen`` and ``rejected`` are Anthropic transcripts, equal up to their last ``\\n\\nAssistant:``.
    - ``csv``: the columns of ``columns``, guessed where it is None.

    In ``trl`` and ``hh`` the order of the two response ids, which are hashes of the content, decides which answer is
    response_a, and the label follows: position says nothing about the label. ``category`` and ``pair_id`` are read
    where they are. Rows with one pair id must have the same prompt and answers, in either order.

    Raises FileError where a needed column is in no row.
    """
    if format == "csv":
        found = columns or guess_pair_columns(rows)
        _require(rows, *vars(found).values())
        pairs = _Pairs(found.pair_id)

        def read(row: Row) -> Pair:
            pair = _mapped_pair(row, found, default_category, _choice(row, found.choice))
            _refuse_identical(pair.response_a, pair.response_b)
            return pairs.labelled(pair)

    else:
        _require(rows, "chosen", "rejected")
        pairs = _Pairs("pair_id")
        split = _split_trl if format == "trl" else _split_hh

        def read(row: Row) -> Pair:
            messages, chosen, rejected = split(row)
            _refuse_identical(chosen, rejected)
            prompt = Prompt(messages, name_of(row, "category") or default_category)
            name = name_of(row, "pair_id")
            if chosen.id(prompt.id) < rejected.id(prompt.id):
                return pairs.labelled(Pair(prompt, chosen, rejected, name, "a"))
            return pairs.labelled(Pair(prompt, rejected, chosen, name, "b"))

    return read_each(rows, read)


def read_judgements(
    rows: Rows, columns: PairColumns | None = None, default_category: str = "general"
) -> Parsed[Judgement]:
    """Read a judgement from each row; rows about one pair share one Pair object.

    Rows are about one pair where they have the same ``pair_id``, or, without one, the same prompt and answers. The
    first of them says which answer is a; in a row that has them the other way round the choice is turned. An
    annotator may judge a pair twice. Identical answers are kept: they have been judged. ``choice`` is a, b, tie or
    both_bad in any case, or "equal" for tie; ``confidence`` a whole number from 1 to 5; ``submitted_at`` is ISO 8601,
    UTC where it names no zone.

    Raises FileError where the columns of prompt, responses, annotator and choice, or another mapped one, are missing.
    """
    found = columns or guess_pair_columns(rows)
    if found.annotator is None or found.choice is None:
        part = "annotator" if found.annotator is None else "choice"
        raise _no_column(f"the {part}", _PAIR_NAMES[part], _columns(rows))
    _require(rows, *vars(found).values())
    pairs = _Pairs(found.pair_id)

    def read(row: Row) -> Judgement:
        annotator = name_of(row, found.annotator)
        if annotator is None:
            raise RowError(found.annotator, "is missing or empty")
        choice = _choice(row, found.choice)
        if choice is None:
            raise RowError(found.choice, f"is missing or empty; it is one of {', '.join(CHOICES)}")
        confidence, reason = _confidence(row, found.confidence), _optional_text(row, found.reason)
        seconds, submitted_at = _seconds(row, found.seconds), moment_of(row, found.submitted_at)
        pair, swapped = pairs.add(_mapped_pair(row, found, default_category))
        choice = _SWAPPED.get(choice, choice) if swapped else choice
        return Judgement(pair, annotator, choice, confidence, reason, seconds, submitted_at)

    return read_each(rows, read)


class _Pairs:
    """The pairs of one file, an object for each however many rows name it."""

    def __init__(self, id_column: str | None) -> None:
        self._id_column = id_column
        self._prompts: dict[tuple[Message, ...], Prompt] = {}
        self._pairs: dict[str, Pair] = {}

    def add(self, pair: Pair) -> tuple[Pair, bool]:
        """The first pair with this id, and whether it has the answers the other way round."""
        shared = self._prompts.setdefault(pair.prompt.messages, pair.prompt)
        if shared is not pair.prompt:
            pair = replace(pair, prompt=shared)
        first = self._pairs.setdefault(pair.id, pair)
        if first is pair:
            return pair, False
        if first.prompt.id != pair.prompt.id:
            raise self._conflict(pair, "prompt")
        if _same(first.response_a, pair.response_a) and _same(first.response_b, pair.response_b):
            return first, False
        if _same(first.response_a, pair.response_b) and _same(first.response_b, pair.response_a):
            return first, True
        raise self._conflict(pair, "response_b" if _same(first.response_a, pair.response_a) else "response_a")

    def labelled(self, pair: Pair) -> Pair:
        """The same with the label of ``pair`` itself, turned where the first has the answers the other way round."""
        first, swapped = self.add(pair)
        label = _SWAPPED.get(pair.label, pair.label) if swapped else pair.label
        return first if first.label == label else replace(first, label=label)

    def _conflict(self, pair: Pair, part: str) -> RowError:
        known = f"{pair.external_id!r} is used earlier in the file with another {part}"
        return RowError(self._id_column, f"{known}: give each pair its own id")


def _same(one: Response, other: Response) -> bool:
    return one.text == other.text and (None in (one.model, other.model) or one.model == other.model)


@uncollected()
def read_each(rows: Rows, read: Callable[[Row], T]) -> Parsed[T]:
    """What ``read`` makes of each row; one at which it raises RowError is refused."""
    parsed: Parsed[T] = Parsed([], [])
    for number, row in rows:
        try:
            parsed.rows.append((number, read(row)))
        except RowError as error:
            parsed.refused.append(Refusal(number, error.field, error.reason))
        except RecursionError:
            parsed.refused.append(Refusal(number, None, "nested too deeply"))
    return parsed


def _columns(rows: Rows) -> list[str]:
    return list(dict.fromkeys(chain.from_iterable(row for _, row in rows)))


def _find(columns: Sequence[str], names: Sequence[str]) -> str | None:
    by_name = {column.strip().casefold(): column for column in reversed(columns)}
    return next((by_name[name] for name in names if name in by_name), None)


def _require(rows: Rows, *needed: str | None) -> None:
    columns = _columns(rows)
    for column in needed:
        if rows and column is not None and column not in columns:
            raise _no_column(repr(column), (column,), columns)


def _no_column(what: str, names: Sequence[str], columns: Sequence[str]) -> FileError:
    has = ", ".join(repr(column) for column in columns[:20]) or "none"
    return FileError(f"no column for {what}: expected {' or '.join(map(repr, names))}, the file has {has}")


def _is_short(value: object) -> bool:
    return value is None or (isinstance(value, str | int | float) and len(str(value)) <= MAX_NAME)


def _shown(value: object) -> str:
    if isinstance(value, str):
        return repr(value[:40] + "…" if len(value) > 40 else value)
    return str(value)[:40] if isinstance(value, bool | int | float) else kind_of(value)


def _given(row: Row, column: str | None) -> object:
    """The value of a column that need not be there; None where it is blank."""
    value = row.get(column) if column is not None else None
    return None if isinstance(value, str) and not value.strip() else value


def text_of(value: object, field: str | None) -> str:
    """The value, if it is a text that can be kept. Raises RowError."""
    if value is None:
        raise RowError(field, "is missing")
    if not isinstance(value, str):
        raise RowError(field, f"is {kind_of(value)}; text is needed")
    if not value or value.isspace():
        raise RowError(field, "is empty")
    if len(value) > MAX_TEXT:
        raise RowError(field, f"has {len(value):,} characters; at most {MAX_TEXT:,} are taken")
    if reason := forbidden(value):
        raise RowError(field, reason)
    return value


def _optional_text(row: Row, column: str | None) -> str | None:
    value = _given(row, column)
    return None if value is None else text_of(value, column)


def _short(value: object, field: str | None) -> str:
    """A name as text; a whole number is one too (17, and 17.0 as Parquet may have it)."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    text = text_of(value, field).strip()
    if len(text) > MAX_NAME:
        raise RowError(field, f"has {len(text):,} characters; at most {MAX_NAME} are taken")
    return text


def name_of(row: Row, column: str | None) -> str | None:
    """The short text in a column, None where it is blank. Raises RowError."""
    value = _given(row, column)
    return None if value is None else _short(value, column)


def _tags(row: Row, column: str | None) -> tuple[str, ...]:
    value = _given(row, column)
    if value is None:
        return ()
    if isinstance(value, str):
        value = [tag for tag in re.split("[,;]", value) if tag.strip()]
    if not isinstance(value, list):
        raise RowError(
            column, f"is {kind_of(value)}; a list, or text with commas between the tags, is needed"
        )
    return tuple(dict.fromkeys(_short(tag, column) for tag in value))


def _attribute(row: Row, column: str) -> str | None:
    value = row.get(column)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float | date):
        return str(value)
    return _optional_text(row, column)


def _messages(value: object, field: str) -> tuple[Message, ...]:
    """The prompt: text is one user message; a chat ends with the user's turn."""
    if not isinstance(value, list):
        return (Message("user", text_of(value, field)),)
    messages = _chat(value, field)
    if messages[-1].role != "user":
        raise RowError(field, f"ends with the {messages[-1].role}'s turn; a prompt ends with the user's")
    return messages


def _chat(value: Sequence[object], field: str) -> tuple[Message, ...]:
    if not value:
        raise RowError(field, "is an empty list")
    messages = []
    for turn, message in enumerate(value, start=1):
        if not isinstance(message, dict):
            raise RowError(
                field, f"turn {turn} is {kind_of(message)}; a message with role and content is needed"
            )
        role = message.get("role")
        if role not in _ROLES:
            raise RowError(field, f"turn {turn}: role is {_shown(role)}; it is one of {', '.join(_ROLES)}")
        try:
            messages.append(Message(role, text_of(message.get("content"), field)))
        except RowError as error:
            raise RowError(field, f"turn {turn}: content {error.reason}") from None
    if (size := sum(len(m.content) for m in messages)) > MAX_TEXT:
        raise RowError(field, f"has {size:,} characters over its turns; at most {MAX_TEXT:,} are taken")
    return tuple(messages)


def _choice(row: Row, column: str | None) -> Choice | None:
    value = _given(row, column)
    if value is None:
        return None
    if isinstance(value, str):
        word = re.sub("[ -]", "_", value.strip().lower())
        word = "tie" if word == "equal" else word
        if word in CHOICES:
            return word
    raise RowError(column, f"is {_shown(value)}; it is one of {', '.join(CHOICES)}")


def number_of(row: Row, column: str | None, needed: str, fits: Callable[[float], bool]) -> float | None:
    """The number in a column, None where it is blank. Raises RowError, with what is ``needed``, unless it fits."""
    value = _given(row, column)
    if value is None:
        return None
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            if fits(number := float(value)):
                return number
    raise RowError(column, f"is {_shown(value)}; {needed} is needed")


def _confidence(row: Row, column: str | None) -> int | None:
    number = number_of(row, column, "a whole number from 1 to 5", lambda x: x in (1, 2, 3, 4, 5))
    return None if number is None else int(number)


def _seconds(row: Row, column: str | None) -> float | None:
    return number_of(row, column, "a number of seconds, 0 or more,", lambda x: 0 <= x < math.inf)


def moment_of(row: Row, column: str | None) -> datetime | None:
    """The time in a column, UTC where it says no zone, None where it is blank. Raises RowError."""
    value = _given(row, column)
    if value is None:
        return None
    if isinstance(value, str | date):
        with suppress(ValueError, OverflowError):
            moment = datetime.fromisoformat(str(value).strip())
            return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    raise RowError(column, f"is {_shown(value)}; a time like 2026-01-31T13:23:06Z is needed")


def _mapped_pair(row: Row, columns: PairColumns, default_category: str, label: Choice | None = None) -> Pair:
    prompt = Prompt(
        _messages(row.get(columns.prompt), columns.prompt), name_of(row, columns.category) or default_category
    )
    a = Response(text_of(row.get(columns.response_a), columns.response_a), name_of(row, columns.model_a))
    b = Response(text_of(row.get(columns.response_b), columns.response_b), name_of(row, columns.model_b))
    return Pair(prompt, a, b, name_of(row, columns.pair_id), label)


def _refuse_identical(one: Response, other: Response) -> None:
    if one.text.strip() == other.text.strip():
        raise RowError(None, "the two answers are identical")


def _split_trl(row: Row) -> tuple[tuple[Message, ...], Response, Response]:
    chosen, rejected, prompt = row.get("chosen"), row.get("rejected"), row.get("prompt")
    if isinstance(chosen, list) and isinstance(rejected, list):
        one, other = _chat(chosen, "chosen"), _chat(rejected, "rejected")
        if isinstance(prompt, list):
            messages = _messages(prompt, "prompt")
        else:
            same = _common(one, other)
            messages, one, other = one[:same], one[same:], other[same:]
            if not one and not other:
                raise RowError(None, "the two answers are identical")
            if not messages or messages[-1].role != "user":
                raise RowError(
                    None, "chosen and rejected do not share a prompt that ends with the user's turn"
                )
        return messages, _answer(one, "chosen"), _answer(other, "rejected")
    chosen, rejected = text_of(chosen, "chosen"), text_of(rejected, "rejected")
    if prompt is None:
        if chosen == rejected:
            raise RowError(None, "the two answers are identical")
        same = _common(chosen, rejected)
        while same and chosen[same - 1].isalnum():
            same -= 1
        if same and chosen[same - 1] == " ":
            same -= 1
        prompt, chosen, rejected = chosen[:same], chosen[same:], rejected[same:]
        if not prompt.strip():
            raise RowError(None, "there is no prompt, and chosen and rejected begin differently")
    messages = _messages(prompt, "prompt")
    return messages, Response(text_of(chosen, "chosen")), Response(text_of(rejected, "rejected"))


def _common(one: Sequence[object], other: Sequence[object]) -> int:
    """How many items two sequences have in common at the start."""
    return next(
        (i for i, (x, y) in enumerate(zip(one, other, strict=False)) if x != y), min(len(one), len(other))
    )


def _answer(messages: tuple[Message, ...], field: str) -> Response:
    if len(messages) != 1:
        raise RowError(field, f"has {len(messages)} messages after the prompt; one answer is needed")
    if messages[0].role != "assistant":
        raise RowError(field, f"is answered by the {messages[0].role}; the assistant's message is needed")
    return Response(messages[0].content)


def _split_hh(row: Row) -> tuple[tuple[Message, ...], Response, Response]:
    chosen, rejected = text_of(row.get("chosen"), "chosen"), text_of(row.get("rejected"), "rejected")
    if chosen == rejected:
        raise RowError(None, "the two answers are identical")
    turns, answer = _transcript(chosen, "chosen")
    others, other = _transcript(rejected, "rejected")
    if turns != others:
        raise RowError("rejected", "its prompt differs from that of chosen")
    for field, text in (("chosen", answer), ("rejected", other)):
        if not text:
            raise RowError(field, "its answer is empty")
    return _messages(turns, "chosen"), Response(answer), Response(other)


def _transcript(text: str, field: str) -> tuple[list[object], str]:
    """The turns before the last, as chat messages, and the last, the answer."""
    before, *parts = _HH_TURN.split("\n\n" + text.lstrip())
    if before.strip() or len(parts) < 4 or parts[-2] != "Assistant":
        reason = "is not a transcript of Human and Assistant turns that ends with the Assistant's"
        raise RowError(field, reason)
    turns = zip(parts[:-2:2], parts[1:-2:2], strict=True)
    return [{"role": _HH_ROLE[name], "content": said.strip()} for name, said in turns], parts[-1].strip()
