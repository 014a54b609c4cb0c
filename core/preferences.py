"""What a reward model learns from: pairs with the share of people who prefer the first answer, and rated answers."""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from core.importing import PairColumns, Rows, read_pairs
from core.reading import FileError, Row, kind_of
from core.records import Message, Pair, Parsed, Prompt, Refusal, content_id

Ties = Literal["half", "drop"]
"""What becomes of tie votes: half a vote for each answer, or left out (with the pairs that have no other vote)."""
Part = Literal["train", "calibration", "test"]
PARTS: tuple[Part, ...] = ("train", "calibration", "test")
HELD_OUT = 0.30
"""The share of the data that is held out of training, half of it for calibration and half for the test."""
FEW_GROUPS = 60
"""Below this many groups the parts are cut by size, so that none comes out empty."""

_TRL_VOTES = ("votes_chosen", "votes_rejected", "votes_tie")
_PAIR_VOTES = ("votes_a", "votes_b", "votes_tie")


@dataclass(frozen=True, slots=True)
class Preference:
    """A pair and what people said of it.

    ``target`` is the probability that a is preferred: the share of the votes for a (1 or 0 where there is one vote,
    0.5 for a tie). ``weight`` is the number of votes behind it, 1 where unknown. ``group`` is what must not be on two
    sides of a split: the prompt's id unless the row names another.
    """

    id: str
    prompt: str
    response_a: str
    response_b: str
    target: float
    weight: float
    group: str
    category: str


@dataclass(frozen=True, slots=True)
class Rating:
    """An answer and how people rated it, 1 to 5."""

    prompt: str
    response: str
    rating: float

    @property
    def id(self) -> str:
        return content_id("g", self.prompt, self.response)

    @property
    def group(self) -> str:
        """The prompt's id."""
        return Prompt.from_text(self.prompt).id


def prompt_text(messages: Sequence[Message]) -> str:
    """A prompt as one text: a single message as it is, a chat with the roles before the turns."""
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"{message.role.capitalize()}: {message.content}" for message in messages)


def is_rated(rows: Rows) -> bool:
    """True where the rows are rated answers, False where they are pairs, from the columns they have."""
    columns = {column for _, row in rows for column in row}
    return "rating" in columns and not columns & {"chosen", "response_a"}


def read_preferences(rows: Rows, ties: Ties = "half") -> Parsed[Preference]:
    """Read a preference from each row; a row that is none, or says nothing under the policy, is refused with why.

    Two kinds of rows: those of TRL (``core.importing.read_pairs``), with ``votes_chosen``, ``votes_rejected`` and
    ``votes_tie`` where the votes were counted; and ``prompt, response_a, response_b`` with ``target`` or with
    ``votes_a``, ``votes_b``, ``votes_tie``. Both may have ``pair_id``, ``category`` (or ``subset``), ``weight`` and ``group``.

    Raises FileError where the columns are of neither kind.
    """
    if not rows:
        return Parsed([], [])
    columns = {column for _, row in rows for column in row}
    trl = {"chosen", "rejected"} <= columns
    if not trl and not (
        {"prompt", "response_a", "response_b"} <= columns and columns & {"target", *_PAIR_VOTES}
    ):
        has = ", ".join(repr(column) for column in sorted(columns)[:20]) or "none"
        raise FileError(
            "preferences need the columns 'chosen' and 'rejected' (with 'prompt'), or 'prompt', 'response_a', "
            f"'response_b' and 'target'; the file has {has}"
        )
    named = [(n, row if row.get("category") else {**row, "category": row.get("subset")}) for n, row in rows]
    if trl:
        pairs = read_pairs(named, "trl")
    else:
        ids = "pair_id" if "pair_id" in columns else None
        pairs = read_pairs(named, "csv", PairColumns(pair_id=ids, category="category"))
    source = dict(rows)
    parsed: Parsed[Preference] = Parsed([], list(pairs.refused))
    for number, pair in pairs.rows:
        try:
            parsed.rows.append((number, _preference(source[number], pair, ties, trl)))
        except _Flaw as flaw:
            parsed.refused.append(Refusal(number, flaw.field, str(flaw)))
    parsed.refused.sort(key=lambda refusal: refusal.row)
    return parsed


def read_ratings(rows: Rows) -> Parsed[Rating]:
    """Read ``prompt, response, rating`` rows; raises FileError where a column is in no row."""
    if not rows:
        return Parsed([], [])
    columns = {column for _, row in rows for column in row}
    if missing := [column for column in ("prompt", "response", "rating") if column not in columns]:
        raise FileError(
            f"ratings need the columns 'prompt', 'response' and 'rating'; {missing[0]!r} is missing"
        )
    parsed: Parsed[Rating] = Parsed([], [])
    for number, row in rows:
        try:
            rating = _number(row, "rating", low=1, high=5)
            if rating is None:
                raise _Flaw("rating", "is missing")
            parsed.rows.append((number, Rating(_text(row, "prompt"), _text(row, "response"), rating)))
        except _Flaw as flaw:
            parsed.refused.append(Refusal(number, flaw.field, str(flaw)))
    return parsed


def to_row(preference: Preference) -> Row:
    """A row that ``read_preferences`` reads back."""
    return {
        "pair_id": preference.id,
        "prompt": preference.prompt,
        "response_a": preference.response_a,
        "response_b": preference.response_b,
        "target": preference.target,
        "weight": preference.weight,
        "group": preference.group,
        "category": preference.category,
    }


def of_criterion(preferences: Iterable[Preference], criterion: str) -> list[Preference]:
    """Those whose category is ``criterion``, or begins with it and a hyphen (helpful: helpful-base, helpful-online)."""
    return [p for p in preferences if p.category == criterion or p.category.startswith(f"{criterion}-")]


def split(groups: Sequence[str], seed: int = 0, held_out: float = HELD_OUT) -> list[Part]:
    """The part of each item, half of ``held_out`` for calibration and for test; a group is never in two parts.

    A group's part follows from a hash of its name and the seed, so that a group stays where it is when others are
    added. With fewer than FEW_GROUPS groups the parts are cut, in the order of the hash, where their sizes fit best.
    With ``held_out`` 0 everything is for training.

    Raises ValueError with fewer than three groups.
    """
    if held_out == 0:
        return ["train" for _ in groups]
    sizes = Counter(groups)
    if len(sizes) < len(PARTS):
        raise ValueError(
            f"The data are about {len(sizes)} prompt{'s' * (len(sizes) != 1)}; at least {len(PARTS)} are needed, as "
            "training, calibration and test must not share any."
        )
    place = {group: _uniform(seed, group) for group in sizes}
    edges = 1 - held_out, 1 - held_out / 2
    if len(sizes) < FEW_GROUPS:
        place = _by_size(sorted(sizes, key=place.__getitem__), sizes, edges)
    return [PARTS[sum(place[group] >= edge for edge in edges)] for group in groups]


def folds(groups: Sequence[str], count: int, seed: int = 0) -> list[int]:
    """The fold 0 to count - 1 of each item: groups stay whole, and the largest goes to the smallest fold first."""
    sizes = Counter(groups)
    filled = [0] * count
    place: dict[str, int] = {}
    for group in sorted(sizes, key=lambda g: (-sizes[g], _uniform(seed, g))):
        place[group] = filled.index(min(filled))
        filled[place[group]] += sizes[group]
    return [place[group] for group in groups]


def _by_size(
    ordered: Sequence[str], sizes: Mapping[str, int], edges: tuple[float, float]
) -> dict[str, float]:
    """Places in [0, 1) in the given order: a group's is where its middle lies; each part gets a group at least."""
    total, before = sum(sizes.values()), 0
    place = {}
    for group in ordered:
        place[group] = (before + sizes[group] / 2) / total
        before += sizes[group]
    first, *_, middle, last = ordered
    place[first], place[last] = 0.0, max(place[last], edges[1])
    if not any(edges[0] <= where < edges[1] for where in place.values()):
        place[middle] = edges[0]
    return place


def _uniform(seed: int, group: str) -> float:
    digest = hashlib.sha256(f"{seed}:{group}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64


class _Flaw(ValueError):
    def __init__(self, field: str | None, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def _preference(row: Row, pair: Pair, ties: Ties, trl: bool) -> Preference:
    target, weight = _votes(row, _TRL_VOTES if trl else _PAIR_VOTES, ties, None if trl else "target")
    if trl and pair.label == "b":
        target = 1.0 - target
    given = _number(row, "weight", low=0)
    if given == 0:
        raise _Flaw("weight", "is 0; a number above 0 is needed")
    group = row.get("group")
    return Preference(
        pair.external_id or pair.id,
        prompt_text(pair.prompt.messages),
        pair.response_a.text,
        pair.response_b.text,
        target,
        weight if given is None else given,
        str(group) if isinstance(group, str | int) and str(group).strip() else pair.prompt.id,
        pair.prompt.category,
    )


def _votes(row: Row, names: tuple[str, str, str], ties: Ties, share: str | None) -> tuple[float, float]:
    """The share of the first answer and the votes behind it; without counted votes one vote, or ``share``."""
    counts = [_number(row, name, low=0) for name in names]
    if all(count is None for count in counts):
        target = _number(row, share, low=0, high=1) if share else 1.0
        if target is None:
            raise _Flaw(share, "is missing")
        if ties == "drop" and target == 0.5:
            raise _Flaw(None, "a tie; ties are left out")
        return target, 1.0
    first, second, tie = (count or 0.0 for count in counts)
    if first + second + tie == 0:
        raise _Flaw(None, "has no votes")
    if ties == "drop":
        if first + second == 0:
            raise _Flaw(None, "all its votes are ties; ties are left out")
        tie = 0.0
    total = first + second + tie
    return (first + tie / 2) / total, total


def _number(row: Row, field: str, low: float, high: float = math.inf) -> float | None:
    value = row.get(field)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    needed = f"a number from {low:g} to {high:g}" if high < math.inf else f"a number, {low:g} or more,"
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            number = float(value)
        except (ValueError, OverflowError):
            number = math.nan
        if low <= number <= high and math.isfinite(number):
            return number
        raise _Flaw(field, f"is {str(value)[:40]}; {needed} is needed")
    raise _Flaw(field, f"is {kind_of(value)}; {needed} is needed")


def _text(row: Row, field: str) -> str:
    value = row.get(field)
    if value is not None and not isinstance(value, str):
        raise _Flaw(field, f"is {kind_of(value)}; text is needed")
    if value is None or not value.strip():
        raise _Flaw(field, "is missing or empty")
    return value
