"""How a network is trained: the settings of each method beside those that every method has, and what each may be."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Recipe = Literal["probed", "plain"]
Rate = Annotated[float, Field(gt=0, le=1)]
CheckpointSeconds = Annotated[float, Field(ge=0, le=1e9, description="A checkpoint is written so often.")]
Tokens = Annotated[int, Field(ge=8, le=1_000_000, description="The most that is read of an answer.")]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SbertSettings(_Settings):
    """It has none of its own: what it needs it chooses by cross-validation."""


class TrlSettings(_Settings):
    """Those of ``core.rewards.trl``; ``batch`` counts pairs."""

    learning_rate: Rate = 5e-5
    batch: int = Field(16, ge=1, le=100_000)
    tokens: Tokens = 256
    checkpoint_seconds: CheckpointSeconds = 30.0


class TransformerSettings(_Settings):
    """Those of ``core.rewards.transformer``, which explains the recipes."""

    recipe: Recipe = Field(
        "probed", description="Whether all of the encoder learns (plain), or its middle is read."
    )
    learning_rate: Rate = Field(3e-5, description="Of the encoder's layers that learn.")
    head_rate: Rate = Field(3e-4, description="The learning rate of the head.")
    weight_decay: float = Field(0.01, ge=0, le=1)
    trained: int = Field(
        0, ge=0, le=1000, description="So many top layers learn, of those that are kept; probed only."
    )
    margin: float = Field(
        0.0,
        ge=0,
        le=100,
        description="What the rewards of two answers should differ by where all prefer one of them; less where votes are split, nothing at a tie.",
    )
    batch: int = Field(32, ge=2, le=100_000, description="Texts at once.")
    accumulate: int = Field(1, ge=1, le=100_000, description="Batches to a step.")
    tokens: Tokens = 256
    prompt_tokens: int = Field(0, ge=0, le=1_000_000, description="What is read of a prompt, from its end.")
    stop_share: float = Field(
        0.1, ge=0, lt=0.9, description="Share of the training prompts that say when to stop."
    )
    patience: int = Field(2, ge=0, le=1000, description="Epochs in which their log loss may be no better.")
    checkpoint_seconds: CheckpointSeconds = 30.0


class Settings(TransformerSettings):
    """All that tells how a transformer is trained; 0 epochs leave it at the probe."""

    epochs: int = Field(3, ge=0)
    seed: int = Field(0, ge=0)
    surface: bool = True


OF_METHOD: Mapping[str, type[_Settings]] = {
    "sbert": SbertSettings,
    "transformer": TransformerSettings,
    "trl": TrlSettings,
}


def resolved(method: str, told: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a method, those that were told as they were told. Raises ValueError, which names the wrong one."""
    try:
        return OF_METHOD[method](**told).model_dump()
    except ValidationError as error:
        wrong = error.errors()[0]
        raise ValueError(f"{wrong['loc'][0]} is {wrong['input']!r}: {wrong['msg']}.") from None
