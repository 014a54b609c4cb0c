"""Preference data sets as TRL takes them, split by prompt, with a report of what became of every pair.

Shapes (TRL documentation, "Dataset formats and types"): ``preference`` has ``prompt``, ``chosen`` and ``rejected`` as
text; ``conversational`` has the same three as lists of ``{"role", "content"}``; ``kto`` has ``prompt`` and
``completion`` as text and a boolean ``label``; ``kto_conversational`` has lists of messages in place of the text.

TRL joins a text prompt and its completion with nothing in between, so a chat model is better served by a
conversational shape. In the text shapes a prompt of one user message is that message, unchanged; any other prompt is
written turn by turn as ``System:``, ``User:`` or ``Assistant:``, a line break, the turn and a blank line, and ends with
``Assistant:`` and a line break.
"""

import csv
import hashlib
import io
import json
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from operator import attrgetter, itemgetter
from typing import Any, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from core.records import CHOICES, Choice, Prompt, Response

Split = Literal["train", "validation", "test"]
Shape = Literal["preference", "conversational", "kto", "kto_conversational"]
Format = Literal["jsonl", "csv", "parquet"]
Row = dict[str, Any]
SPLITS: tuple[Split, ...] = get_args(Split)
SHAPES: tuple[Shape, ...] = get_args(Shape)
FORMATS: tuple[Format, ...] = get_args(Format)
REASONS: Mapping[str, str] = {
    "no_annotations": "nobody has voted on the pair",
    "too_few_votes": "fewer votes than the policy asks for",
    "no_majority": "the votes settle on no label",
    "low_confidence": "the label is less certain than the policy asks for",
    "tie": "the label is a tie",
    "both_bad": "the label says that neither answer is good",
    "empty_text": "the prompt or an answer is empty",
    "identical_answers": "both answers have the same text",
    "contradiction": "another pair with the same prompt and answers has another label",
    "duplicate": "another pair with the same prompt, answers and label is exported",
}
"""Why a pair is dropped; it counts under the first reason that applies."""


@dataclass(frozen=True)
class Candidate:
    """A pair that may be exported: ``votes`` counts each choice, ``label`` is the consensus (None where there is none),
    or the resolution where the pair was adjudicated, ``confidence`` its posterior probability where known. ``simulated``
    of the votes are those of simulated annotators."""

    pair_id: str
    prompt: Prompt
    response_a: Response
    response_b: Response
    votes: Mapping[Choice, int]
    label: Choice | None
    confidence: float | None
    simulated: int = 0


@dataclass(frozen=True)
class Policy:
    """What to export and how; the same policy on the same pairs gives the same bytes.

    ``ties="keep"`` writes a tie in both orders in the preference shapes, which is a target of 1/2 for any loss on the
    difference of the two answers, and as two good answers in the KTO shapes. Pairs where both answers are bad give
    two bad answers in the KTO shapes, and nothing in the others.

    ``splits`` are the shares of prompts in train, validation and test. ``details`` adds columns that TRL ignores: pair,
    category, confidence, votes and models.

    Raises ValueError for shares that are negative or do not add up to 1, and for an unknown shape or tie policy.
    """

    shape: Shape = "preference"
    ties: Literal["drop", "keep"] = "drop"
    splits: tuple[float, float, float] = (0.9, 0.05, 0.05)
    seed: int = 0
    min_votes: int = 1
    min_confidence: float = 0.0
    details: bool = False

    def __post_init__(self) -> None:
        if self.shape not in SHAPES:
            raise ValueError(f"shape is {self.shape!r}; it must be one of {', '.join(SHAPES)}")
        if self.ties not in ("drop", "keep"):
            raise ValueError(f"ties is {self.ties!r}; it must be drop or keep")
        if len(self.splits) != len(SPLITS) or min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-9:
            raise ValueError(
                f"splits are {self.splits}; they must be three shares of at least 0 that add up to 1"
            )


@dataclass(frozen=True)
class Export:
    """Rows by split, and the fate of every pair: the split it went to, or the key of :data:`REASONS` that dropped it.

    ``simulated``: how many of the pairs that go out have votes of simulated annotators.
    """

    policy: Policy
    rows: Mapping[Split, list[Row]]
    fate: Mapping[str, str]
    simulated: int

    @property
    def report(self) -> dict[str, Any]:
        """Pairs in, pairs and rows out by split, and pairs dropped by reason; exported and dropped add up to pairs.

        And how many of the exported rest on simulated annotators, if only in part.
        """
        count = Counter(self.fate.values())
        return {
            "pairs": len(self.fate),
            "exported": {split: count[split] for split in SPLITS},
            "rows": {split: len(self.rows[split]) for split in SPLITS},
            "dropped": {reason: count[reason] for reason in REASONS if count[reason]},
            "simulated": self.simulated,
        }


@dataclass(frozen=True, slots=True)
class _Kept:
    """What is left of a pair that goes out, unless another one stands in its way."""

    pair_id: str
    verdict: tuple[str, str]
    split: Split
    rows: list[Row]
    simulated: bool


class InvalidRow(ValueError):
    """A row that a trainer would refuse or misread; ``row`` counts from 1."""

    def __init__(self, row: int, field: str, reason: str) -> None:
        super().__init__(f"row {row}, field {field}: {reason}")
        self.row, self.field, self.reason = row, field, reason


def export(candidates: Iterable[Candidate], policy: Policy) -> Export:
    """The rows of the pairs that the policy lets out.

    A prompt's split depends on the seed and its own text alone, white space and case aside: prompts that differ in
    nothing else go together, and more data moves no prompt. Rows come in an order drawn from the seed, the same for
    any order of the input.

    Raises ValueError where two candidates have one ``pair_id``.
    """
    fate: dict[str, str] = {}
    alike: dict[tuple[str, ...], list[_Kept]] = defaultdict(list)
    homes: dict[str, Split] = {}
    for candidate in candidates:
        if candidate.pair_id in fate:
            raise ValueError(f"pair {candidate.pair_id} is given more than once; give every pair once")
        fate[candidate.pair_id] = reason = _reason(candidate, policy) or ""
        if reason:
            continue
        prompt = candidate.prompt
        if prompt.id not in homes:
            homes[prompt.id] = _split(prompt, policy)
        answers = sorted((candidate.response_a.text.strip(), candidate.response_b.text.strip()))
        alike[prompt.id, *answers].append(
            _Kept(
                candidate.pair_id,
                _verdict(candidate),
                homes[prompt.id],
                _rows(candidate, policy),
                candidate.simulated > 0,
            )
        )

    simulated = 0
    drawn: dict[Split, list[tuple[bytes, Row]]] = {split: [] for split in SPLITS}
    for group in alike.values():
        first, *others = sorted(group, key=attrgetter("pair_id"))
        if any(other.verdict != first.verdict for other in others):
            fate.update((kept.pair_id, "contradiction") for kept in group)
            continue
        fate.update((other.pair_id, "duplicate") for other in others)
        fate[first.pair_id] = first.split
        simulated += first.simulated
        drawn[first.split] += (
            (_digest(policy.seed, f"{i}{first.pair_id}"), row) for i, row in enumerate(first.rows)
        )
    rows = {split: [row for _, row in sorted(drawn[split], key=itemgetter(0))] for split in SPLITS}
    return Export(policy, rows, fate, simulated)


def _reason(candidate: Candidate, policy: Policy) -> str | None:
    """What keeps this pair in, whatever the other pairs are."""
    votes = _votes(candidate)
    answers = (candidate.response_a.text.strip(), candidate.response_b.text.strip())
    checks = {
        "no_annotations": votes == 0,
        "too_few_votes": votes < policy.min_votes,
        "no_majority": candidate.label not in CHOICES,
        "low_confidence": (candidate.confidence or 0.0) < policy.min_confidence,
        "tie": candidate.label == "tie" and policy.ties == "drop",
        "both_bad": candidate.label == "both_bad" and not policy.shape.startswith("kto"),
        "empty_text": not (candidate.prompt.text.strip() and all(answers)),
        "identical_answers": answers[0] == answers[1],
    }
    return next((reason for reason, applies in checks.items() if applies), None)


def _votes(candidate: Candidate) -> int:
    return sum(candidate.votes.values()) - candidate.votes.get("skip", 0)


def _verdict(candidate: Candidate) -> tuple[str, str]:
    """The label in terms of the texts, so that it does not depend on which answer is a."""
    match candidate.label:
        case "a":
            return "prefer", candidate.response_a.text.strip()
        case "b":
            return "prefer", candidate.response_b.text.strip()
        case label:
            return str(label), ""


def _digest(seed: int, text: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{text}".encode("utf-8", "surrogatepass"), digest_size=8).digest()


def _split(prompt: Prompt, policy: Policy) -> Split:
    text = "\0".join(f"{m.role}\0{''.join(m.content.casefold().split())}" for m in prompt.messages)
    point = int.from_bytes(_digest(policy.seed, text), "big") / 2**64
    shares = [(split, share) for split, share in zip(SPLITS, policy.splits, strict=True) if share > 0]
    ends = accumulate(share for _, share in shares)
    return next((split for (split, _), end in zip(shares, ends, strict=True) if point < end), shares[-1][0])


def _is_conversational(shape: Shape) -> bool:
    return shape in ("conversational", "kto_conversational")


def _answer_fields(shape: Shape) -> tuple[str, ...]:
    return ("completion",) if shape.startswith("kto") else ("chosen", "rejected")


def _detail_fields(shape: Shape) -> list[str]:
    of_answers = [f"{what}_{field}" for what in ("votes", "model") for field in _answer_fields(shape)]
    return ["pair_id", "category", "confidence", "votes", *of_answers]


def _rows(candidate: Candidate, policy: Policy) -> list[Row]:
    """One row in a preference shape (two for a tie), two in a KTO shape."""
    answers: dict[str, tuple[Choice, Response]] = {
        "a": ("a", candidate.response_a),
        "b": ("b", candidate.response_b),
    }
    fields = _answer_fields(policy.shape)
    if policy.shape.startswith("kto"):
        good = {"a": "a", "b": "b", "tie": "ab", "both_bad": ""}[str(candidate.label)]
        sides = [([answers[side]], {"label": side in good}) for side in "ab"]
    else:
        orders = {"a": ["ab"], "b": ["ba"], "tie": ["ab", "ba"]}[str(candidate.label)]
        sides = [([answers[side] for side in order], {}) for order in orders]

    rows = []
    for shown, label in sides:
        if _is_conversational(policy.shape):
            row: Row = {"prompt": [{"role": m.role, "content": m.content} for m in candidate.prompt.messages]}
            texts: list[Any] = [[{"role": "assistant", "content": response.text}] for _, response in shown]
        else:
            row = {"prompt": _transcript(candidate.prompt)}
            texts = [response.text for _, response in shown]
        row |= dict(zip(fields, texts, strict=True)) | label
        if policy.details:
            row |= {
                "pair_id": candidate.pair_id,
                "category": candidate.prompt.category,
                "confidence": candidate.confidence,
                "votes": _votes(candidate),
            }
            for field, (side, response) in zip(fields, shown, strict=True):
                row |= {f"votes_{field}": candidate.votes.get(side, 0), f"model_{field}": response.model}
        rows.append(row)
    return rows


def _transcript(prompt: Prompt) -> str:
    if len(prompt.messages) == 1 and prompt.messages[0].role == "user":
        return prompt.text
    return "".join(f"{m.role.capitalize()}:\n{m.content}\n\n" for m in prompt.messages) + "Assistant:\n"


def validate(rows: Sequence[Row], shape: Shape) -> None:
    """Raise InvalidRow at the first row that a trainer would refuse or misread."""
    answers = _answer_fields(shape)
    needed = {"prompt", *answers} | ({"label"} if shape.startswith("kto") else set())
    known = needed.union(_detail_fields(shape))
    for number, row in enumerate(rows, start=1):
        for field in sorted(needed - row.keys()):
            raise InvalidRow(number, field, "is missing")
        for field in sorted(row.keys() ^ rows[0].keys() | row.keys() - known):
            raise InvalidRow(
                number, field, f"is not a column of every row, or not one of {', '.join(sorted(known))}"
            )
        for field in ("prompt", *answers):
            if reason := (_message_fault if _is_conversational(shape) else _text_fault)(row[field]):
                raise InvalidRow(number, field, reason)
        if _is_conversational(shape):
            if row["prompt"][-1]["role"] != "user":
                raise InvalidRow(number, "prompt", "does not end with the user's turn")
            for field in answers:
                if [message["role"] for message in row[field]] != ["assistant"]:
                    raise InvalidRow(number, field, "is not one message of the assistant")
        if "rejected" in answers and row["chosen"] == row["rejected"]:
            raise InvalidRow(number, "rejected", "is the same as chosen")
        if "label" in needed and not isinstance(row["label"], bool):
            raise InvalidRow(number, "label", "is not true or false")


def _text_fault(value: object) -> str | None:
    if not isinstance(value, str):
        return "is not text"
    if not value.strip():
        return "is empty"
    if "\0" in value:
        return "holds a NUL character, which CSV readers cut at"
    try:
        value.encode()
    except UnicodeEncodeError:
        return "holds half of a surrogate pair, which no file in UTF-8 can"
    return None


def _message_fault(value: object) -> str | None:
    if not isinstance(value, list) or not value:
        return "is not a list of messages"
    for message in value:
        if not isinstance(message, dict) or message.keys() != {"role", "content"}:
            return "has a message that is not a role and a content"
        if message["role"] not in ("system", "user", "assistant"):
            return f"has the role {message['role']!r}; TRL knows system, user and assistant"
    faults = [_text_fault(message["content"]) for message in value]
    return faults[-1] or next((fault for fault in faults if fault not in (None, "is empty")), None)


def to_jsonl(rows: Sequence[Row]) -> bytes:
    """One JSON object a line, in UTF-8; what some readers take for a line break inside a text is escaped."""
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    for character in "\x85\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text.encode()


def to_csv(rows: Sequence[Row]) -> bytes:
    """RFC 4180 in UTF-8, a header and a record a row; lists of messages are JSON, None is an empty cell.

    Texts are written as they are, so that a trainer sees what people judged: a spreadsheet may run a cell that starts
    with ``=``, ``+``, ``-`` or ``@`` as a formula. Read it as text with missing values off (pandas:
    ``keep_default_na=False``), or an answer such as ``NA`` is lost.
    """
    out = io.StringIO(newline="")
    if rows:
        writer = csv.DictWriter(out, rows[0].keys())
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: json.dumps(v, ensure_ascii=False) if isinstance(v, list) else v for k, v in row.items()}
            )
    return out.getvalue().encode()


def to_parquet(rows: Sequence[Row]) -> bytes:
    """Parquet with the same column types whatever the rows hold, so that splits can be loaded together."""
    messages = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
    numbers = {"label": pa.bool_(), "confidence": pa.float64()}

    def column_type(column: str, value: object) -> Any:
        if isinstance(value, list):
            return messages
        return numbers.get(column, pa.int64() if column.startswith("votes") else pa.string())

    schema = pa.schema(
        [(column, column_type(column, value)) for column, value in (rows[0] if rows else {}).items()]
    )
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), out, compression="zstd")
    return out.getvalue()


WRITERS: Mapping[Format, Callable[[Sequence[Row]], bytes]] = {
    "jsonl": to_jsonl,
    "csv": to_csv,
    "parquet": to_parquet,
}


def bundle(result: Export, fmt: Format) -> bytes:
    """A zip of one file a split that has rows, and ``report.json``: policy, counts, and each file's rows and SHA-256.

    The same export gives the same bytes. Raises InvalidRow rather than offer a file that a trainer would refuse.
    """
    files = {}
    for split in SPLITS:
        validate(result.rows[split], result.policy.shape)
        if result.rows[split]:
            files[f"{split}.{fmt}"] = WRITERS[fmt](result.rows[split])
    report = {
        "policy": asdict(result.policy),
        **result.report,
        "sha256": {name: hashlib.sha256(content).hexdigest() for name, content in files.items()},
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in {**files, "report.json": json.dumps(report, indent=2).encode()}.items():
            archive.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return out.getvalue()
