"""Checkpoints of a training: each written whole or not at all, and read back only if it is what was saved."""

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.optim import Optimizer

from core.preferences import Preference
from core.rewards.base import RewardError

_NAME, _STATE, _SUMS = "checkpoint-", "state.json", "checksums.json"


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by group and name, and the state that goes with them, as JSON."""

    tensors: Mapping[str, Mapping[str, Tensor]]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Checkpoints:
    """The last checkpoint of a training in ``folder``; ``fingerprint`` tells its data and settings from any other."""

    folder: Path
    fingerprint: str

    def keep(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete those before it: whenever the process is killed, the last one is whole."""
        before = self._kept()
        number = 1 + int(before[-1].name.removeprefix(_NAME)) if before else 1
        draft, final = self.folder / ".draft", self.folder / f"{_NAME}{number:08d}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for group, tensors in checkpoint.tensors.items():
            whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
            save_file(whole, draft / f"{group}.safetensors")
        state = {**checkpoint.state, "fingerprint": self.fingerprint}
        (draft / _STATE).write_text(json.dumps(state), encoding="utf-8")
        sums = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
        (draft / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
        for path in draft.iterdir():
            _flush(path)
        draft.rename(final)
        _flush(self.folder)
        for old in before:
            shutil.rmtree(old)

    def last(self) -> Checkpoint | None:
        """The last checkpoint; None where there is none. Raises RewardError where it is damaged, or of another training."""
        found = self._kept()
        if not found:
            return None
        last = found[-1]
        again = f"Start a new training, or delete {self.folder} to have this one begin again."
        try:
            sums = json.loads((last / _SUMS).read_bytes())
            if wrong := [name for name, expected in sums.items() if _sha256(last / name) != expected]:
                raise RewardError(
                    f"The checkpoint {last / wrong[0]} is not what was saved (its SHA-256 differs). {again}"
                )
            state = json.loads((last / _STATE).read_bytes())
            tensors = {path.stem: load_file(path) for path in last.glob("*.safetensors")}
            told = state["fingerprint"]
        except (OSError, ValueError, TypeError, AttributeError, KeyError, SafetensorError) as error:
            raise RewardError(f"The checkpoint {last} cannot be read: {error}. {again}") from None
        if told != self.fingerprint:
            raise RewardError(f"The checkpoint {last} is of other data or settings. {again}")
        return Checkpoint(tensors, state)

    def _kept(self) -> list[Path]:
        return sorted(self.folder.glob(f"{_NAME}*"))


def fingerprint(pairs: Sequence[Preference], *told: Any) -> str:
    """What tells a training on these pairs, with settings that JSON can hold, from any other."""
    said = [
        *told,
        *([pair.prompt, pair.response_a, pair.response_b, pair.target, pair.weight] for pair in pairs),
    ]
    return hashlib.sha256(json.dumps(said).encode("utf-8", "surrogatepass")).hexdigest()


def moments(optimizer: Optimizer) -> dict[str, Tensor]:
    """What an optimizer remembers of each weight, by the weight's number and the name of what it is."""
    state = optimizer.state_dict()["state"]
    return {f"{i}.{name}": value for i, kept in state.items() for name, value in kept.items()}


def remember(optimizer: Optimizer, found: Mapping[str, Tensor]) -> None:
    """Put ``moments`` back into an optimizer of the same weights."""
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in found.items():
        i, part = name.split(".", 1)
        state.setdefault(int(i), {})[part] = value
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
