"""Fine-tuning at a provider: the rows that it is sent, in OpenAI's two shapes, and about what that costs.

Shapes (OpenAI, guides "Supervised fine-tuning" and "Direct preference optimization"): ``supervised`` has ``messages``, which
end with the chosen answer; ``preference`` has ``input`` with the ``messages`` of the prompt, ``preferred_output`` and
``non_preferred_output``, each a list of one message of the assistant.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from core.exporting import Export, Row, validate

Shape = Literal["supervised", "preference"]
Provider = Literal["openai"]
SHAPES: tuple[Shape, ...] = get_args(Shape)
LEAST, ADVISED = 10, 50
"""Examples that OpenAI takes at least, and advises to start with."""
ENDED = ("succeeded", "failed", "cancelled")
"""The last states of a provider's job."""
MOST_EPOCHS, LONGEST_SUFFIX = 50, 64
BYTES_PER_TOKEN, TOKENS_PER_MESSAGE = 3, 4


@dataclass(frozen=True, slots=True)
class Tuning:
    """What is asked of a provider. ``price`` is for a million trained tokens, ``budget`` what the job may cost at most, in the
    same currency; ``suffix`` becomes part of the new model's name. Raises ValueError."""

    model: str
    shape: Shape
    epochs: int
    price: float
    budget: float
    suffix: str | None = None
    seed: int | None = None
    provider: Provider = "openai"

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("model: name the model to start from, as the provider calls it.")
        if self.shape not in SHAPES:
            raise ValueError(f"shape: {self.shape!r} is not one of {', '.join(SHAPES)}.")
        if not 1 <= self.epochs <= MOST_EPOCHS:
            raise ValueError(f"epochs: {self.epochs} is not between 1 and {MOST_EPOCHS}.")
        if not 0 <= self.price < float("inf"):
            raise ValueError("price: give the price of a million tokens, as the provider states it.")
        if not 0 < self.budget < float("inf"):
            raise ValueError("budget: give what the job may cost at most.")
        if len(self.suffix or "") > LONGEST_SUFFIX:
            raise ValueError(f"suffix: it has more than {LONGEST_SUFFIX} characters.")

    def cost(self, tokens: int) -> float:
        """What ``tokens`` cost that were trained on, each as often as there were epochs."""
        return tokens * self.price / 1e6


@dataclass(frozen=True)
class Plan:
    """What would be sent, and about what it would cost. Of the export's test part, ``kept_back`` rows, nothing is sent.

    ``tokens`` are those of one epoch, estimated, and rather too many than too few, since a provider's tokenizer is not at
    hand: one for every 3 bytes of UTF-8 (English prose has about 4 to a token, code and other languages fewer) and 4 for
    each message; in the shape ``preference`` the prompt counts with either answer.
    """

    tuning: Tuning
    train: list[Row]
    validation: list[Row]
    kept_back: int
    tokens: int
    simulated: int

    @property
    def cost(self) -> float:
        return self.tuning.cost(self.tokens * self.tuning.epochs)

    @property
    def refusal(self) -> str | None:
        """Why nothing is sent; None where it may be."""
        if len(self.train) < LEAST:
            return (
                f"Fine-tuning takes at least {LEAST} examples, and there are {len(self.train)} to train on: "
                "annotate more pairs, or let more of them out."
            )
        if self.cost > self.tuning.budget:
            return (
                f"It would cost about {self.cost:,.2f}, and the budget is {self.tuning.budget:,.2f}: take fewer epochs or "
                "rows, or raise the budget."
            )
        return None

    @property
    def warnings(self) -> list[str]:
        """What one should know before it is sent."""
        found = {
            f"Only {len(self.train)} examples: OpenAI advises to start with {ADVISED}.": LEAST <= len(self.train) < ADVISED,
            "No example is held out for validation, so the loss on unseen ones is not told.": not self.validation,
            f"{self.simulated:,} pairs rest on votes of simulated annotators, if only in part.": self.simulated > 0,
        }  # fmt: skip
        return [warning for warning, applies in found.items() if applies]


@dataclass(frozen=True, slots=True)
class TuningJob:
    """A job as the provider has it: ``status`` is validating_files, queued, running or one of ENDED, ``reason`` why it failed.

    ``model`` is the name of what was made, ``trained_tokens`` what is billed; both None before the end.
    """

    id: str
    status: str
    reason: str | None
    model: str | None
    trained_tokens: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """What a provider said of a job; ``figures`` are the numbers of a step (step, train_loss, ...), if it is about one."""

    id: str
    message: str
    figures: dict[str, float]


def plan(exported: Export, tuning: Tuning) -> Plan:
    """What an export in the shape ``conversational`` comes to. An example that is there twice is sent once.

    Raises InvalidRow, with the row's number, at the first that a provider would refuse.
    """
    train, validation = (_examples(exported.rows[split], tuning.shape) for split in ("train", "validation"))
    return Plan(
        tuning,
        train,
        validation,
        kept_back=len(exported.rows["test"]),
        tokens=sum(map(_tokens, train)),
        simulated=exported.simulated,
    )


def _examples(rows: Sequence[Row], shape: Shape) -> list[Row]:
    validate(rows, "conversational")
    found = (
        {"messages": [*row["prompt"], *row["chosen"]]}
        if shape == "supervised"
        else {
            "input": {"messages": row["prompt"]},
            "preferred_output": row["chosen"],
            "non_preferred_output": row["rejected"],
        }
        for row in rows
    )
    return list({json.dumps(example): example for example in found}.values())


def _tokens(example: Row) -> int:
    if "messages" in example:
        messages = example["messages"]
    else:
        messages = [*example["input"]["messages"] * 2, *example["preferred_output"], *example["non_preferred_output"]]  # fmt: skip
    size = sum(len(message["content"].encode()) for message in messages)
    return -(-size // BYTES_PER_TOKEN) + TOKENS_PER_MESSAGE * len(messages)
