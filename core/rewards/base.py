"""What every reward model is, the vote predictor built on one, and the folder in which both are kept.

A model folder holds JSON and safetensors only: the reward model's own files and, written last, model.json with the
format number, the method, what it was trained from, the calibrator, the figures, and the SHA-256 of every other file.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from core.calibrators import Calibrator, Identity, Symmetric, from_json
from core.ratings import FloatArray

FORMAT = 1
MODEL_FILE = "model.json"
METHODS = {
    "sbert": "core.rewards.sbert",
    "transformer": "core.rewards.transformer",
    "trl": "core.rewards.trl",
}
"""The module of each method. All have ``load(directory, encoder) -> RewardModel``; those that train a network also
``fit(pairs, settings, checkpoints, on_progress, on_metric, should_stop) -> (RewardModel, details)``."""
_PICKLES = {".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib"}


Vectors = npt.NDArray[np.floating[Any]]


class RewardError(Exception):
    """A reward model cannot be made, read or used; the message says what is wrong and what to do."""


class Interrupted(Exception):
    """A training was asked to stop; its last checkpoint is kept."""


class Encoder(Protocol):
    """Texts to vectors; ``providers.encoder`` has the real one."""

    @property
    def name(self) -> str: ...

    @property
    def identity(self) -> str:
        """A hash of its weights and configuration: the same identity, the same vectors."""
        ...

    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str], on_progress: Callable[[int, int], None] | None = None) -> Vectors:
        """Shape (n, dimension); ``on_progress(done, total)`` hears of the distinct texts."""
        ...

    def cut(self, texts: Sequence[str]) -> int:
        """How many of the texts are longer than the encoder reads."""
        ...


Encoders = Callable[[str], Encoder]
"""An encoder by its name or path."""


TrainedOn = Literal["pairs", "ratings"]


class RewardModel(Protocol):
    """Scores answers; a higher score is a better answer, and a difference of scores is a log odds."""

    @property
    def method(self) -> str:
        """One of METHODS."""
        ...

    @property
    def base(self) -> str:
        """The pretrained model behind it, by name or path."""
        ...

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Reward logits, shape (n,), of answer i to prompt i."""
        ...

    def save(self, directory: Path) -> None:
        """Write the model's own files, JSON and safetensors, into a folder that is there."""
        ...


@dataclass(frozen=True)
class VotePredictor:
    """The probability that people prefer the first of two answers.

    The difference of their rewards goes through the logistic function (Bradley & Terry 1952) and then through the
    calibrator, made symmetric whatever it is, so that p(a, b) = 1 - p(b, a).
    """

    model: RewardModel
    calibrator: Calibrator = field(default_factory=Identity)
    trained_on: TrainedOn = "pairs"
    figures: Mapping[str, Any] = field(default_factory=dict)
    seen: frozenset[str] = frozenset()
    """The groups (prompts) its weights were fitted to, as ``mark`` writes them."""

    def predict(
        self, prompts: Sequence[str], responses_a: Sequence[str], responses_b: Sequence[str]
    ) -> FloatArray:
        """Probabilities that a is preferred, shape (n,). Raises RewardError."""
        return self.probabilities(self.differences(prompts, responses_a, responses_b))

    def differences(
        self, prompts: Sequence[str], responses_a: Sequence[str], responses_b: Sequence[str]
    ) -> FloatArray:
        """Reward of a less reward of b, shape (n,); identical answers have 0. Raises RewardError."""
        scores = self.score([*prompts, *prompts], [*responses_a, *responses_b])
        return scores[: len(prompts)] - scores[len(prompts) :]

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """The rewards, shape (n,). Raises RewardError where one is not a number."""
        scores = self.model.score(prompts, responses)
        if bad := int(np.count_nonzero(~np.isfinite(scores))):
            raise RewardError(
                f"The model gave {bad} of {len(scores)} answers a score that is not a number: train it again with a "
                "smaller learning rate, or check its weights."
            )
        return scores

    def good(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Probabilities that an answer is good, shape (n,). Raises RewardError where the model learnt from pairs."""
        if self.trained_on != "ratings":
            raise RewardError(
                "The model was trained on pairs: it says which of two answers is better, not whether one is good. Give it "
                "pairs, or train a model on ratings."
            )
        return self.calibrator(sigmoid(self.score(prompts, responses)))

    def probabilities(self, differences: FloatArray) -> FloatArray:
        """Calibrated probabilities of differences of rewards, shape (n,)."""
        return Symmetric(self.calibrator)(sigmoid(differences))

    def save(self, directory: Path) -> None:
        """Write the whole folder; model.json comes last."""
        directory.mkdir(parents=True, exist_ok=True)
        self.model.save(directory)
        described = {
            "format": FORMAT,
            "method": self.model.method,
            "base": self.model.base,
            "trained_on": self.trained_on,
            "calibrator": self.calibrator.to_json(),
            "figures": dict(self.figures),
            "seen": sorted(self.seen),
            "files": {name: _sha256(directory / name) for name in _names(directory)},
        }
        text = json.dumps(described, ensure_ascii=False, indent=1)
        (directory / MODEL_FILE).write_text(text, encoding="utf-8")


def mark(group: str) -> str:
    """A group as a model remembers it: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def sigmoid(x: FloatArray) -> FloatArray:
    """1 / (1 + exp(-x)), exact at both ends and with sigmoid(-x) = 1 - sigmoid(x) to the last bit that matters."""
    tail = np.exp(-np.abs(x))
    return np.where(x >= 0, 1.0, tail) / (1.0 + tail)


def model_directory(directory: Path) -> Path:
    """The model folder in ``directory``: itself, or artifacts/model of a train-reward run. Raises RewardError."""
    for candidate in (directory, directory / "artifacts" / "model"):
        if (candidate / MODEL_FILE).is_file():
            return candidate
    if not directory.is_dir():
        raise RewardError(f"There is no folder {directory}.")
    _refuse_pickles(directory)
    raise RewardError(
        f"{directory} holds no reward model: neither it nor its artifacts/model has a {MODEL_FILE}. Give a folder that "
        "train-reward wrote."
    )


def describe(directory: Path) -> dict[str, Any]:
    """What model.json says, after every file was checked against its checksum. Raises RewardError."""
    directory = model_directory(directory)
    _refuse_pickles(directory)
    try:
        described = json.loads((directory / MODEL_FILE).read_bytes())
        form, files = described["format"], dict(described["files"])
        missing: set[str] = {
            "method",
            "base",
            "trained_on",
            "calibrator",
            "figures",
            "seen",
        } - described.keys()
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RewardError(f"{directory / MODEL_FILE} cannot be read: {error}") from None
    if form != FORMAT:
        raise RewardError(
            f"{directory} is of format {form}; this version reads format {FORMAT}. Train the model again."
        )
    if missing:
        raise RewardError(f"{directory / MODEL_FILE} lacks {min(missing)!r}: copy the folder again.")
    if not any(name.endswith(".safetensors") for name in files):
        raise RewardError(f"{directory} lists no weights (*.safetensors): train the model again.")
    for name, expected in files.items():
        path = directory / name
        if not path.resolve().is_relative_to(directory.resolve()):
            raise RewardError(f"{directory / MODEL_FILE} names {name!r}, which is outside its folder.")
        if not path.is_file():
            raise RewardError(
                f"{directory} lacks {name}, which its {MODEL_FILE} lists: copy the folder again."
            )
        if _sha256(path) != expected:
            raise RewardError(
                f"{path} is not the file that was saved (its SHA-256 differs): copy the folder again, or train again."
            )
    return dict(described)


def load(directory: Path, encoder: Encoders) -> VotePredictor:
    """The predictor in a model folder or a train-reward run directory. Raises RewardError."""
    described = describe(directory)
    method = described["method"]
    if method not in METHODS:
        raise RewardError(f"{directory} is of method {method!r}; known are {', '.join(METHODS)}.")
    try:
        calibrator = from_json(described["calibrator"])
    except (KeyError, TypeError, ValueError) as error:
        raise RewardError(f"The calibrator of {directory} cannot be read: {error}") from None
    model: RewardModel = import_module(METHODS[method]).load(model_directory(directory), encoder)
    seen = frozenset(described["seen"])
    return VotePredictor(model, calibrator, described["trained_on"], described["figures"], seen)


def _names(directory: Path) -> list[str]:
    paths = (path for path in directory.rglob("*") if path.is_file())
    names = sorted(path.relative_to(directory).as_posix() for path in paths)
    return [name for name in names if name != MODEL_FILE]


def _refuse_pickles(directory: Path) -> None:
    found = [name for name in _names(directory) if Path(name).suffix.lower() in _PICKLES]
    if found:
        raise RewardError(
            f"{directory} holds {found[0]}, a pickle, which can run any code when it is read, so it is refused. Weights "
            "must be *.safetensors."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
