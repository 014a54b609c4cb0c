"""The RewardTrainer of TRL on the same pairs, for teams whose pipeline is TRL's.

The model is the encoder with the one-number head of AutoModelForSequenceClassification. Pairs go in as token ids: left
to itself RewardTrainer appends an eos token, which BERT lacks, and drops pairs longer than ``max_length``; here an answer
is cut at its end, and how many were is said. RewardTrainer knows neither soft labels nor weights: the answer that most
people prefer is chosen, and ties are left out.
"""

import json
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoTokenizer, TrainerCallback

from core.preferences import Preference
from core.ratings import FloatArray
from core.rewards.base import Encoders, Interrupted, RewardError
from core.rewards.checkpoints import Checkpoint, Checkpoints, fingerprint, moments, remember
from core.rewards.settings import TrlSettings

METHOD = "trl"
_WEIGHTS, _CONFIG = "weights.safetensors", "reward.json"


@dataclass
class TrlReward:
    """A sequence classifier with one number as its answer."""

    model: Any
    tokenizer: Any
    base: str
    tokens: int
    method: str = field(default=METHOD, init=False)

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Reward logits, shape (n,), of the answers."""
        distinct = sorted(dict.fromkeys(responses), key=len, reverse=True)
        found: dict[str, float] = {}
        self.model.eval()
        for begin in range(0, len(distinct), 64):
            part = distinct[begin : begin + 64]
            batch = self.tokenizer(
                part, truncation=True, max_length=self.tokens, padding=True, return_tensors="pt"
            )
            with torch.inference_mode():
                rewards = self.model(**batch.to(self.model.device)).logits.squeeze(-1)
            found |= dict(zip(part, rewards.float().tolist(), strict=True))
        return np.array([found[response] for response in responses])

    def save(self, directory: Path) -> None:
        """Write configuration, tokenizer and weights; nothing else is needed to read the model back."""
        weights = {
            name: weight.detach().cpu().contiguous() for name, weight in self.model.state_dict().items()
        }
        save_file(weights, directory / _WEIGHTS)
        self.model.config.to_json_file(directory / "config.json")
        self.tokenizer.save_pretrained(directory)
        described = {"base": self.base, "tokens": self.tokens}
        (directory / _CONFIG).write_text(json.dumps(described), encoding="utf-8")


def load(directory: Path, encoder: Encoders) -> TrlReward:
    """The reward in a model folder, on the GPU where there is one. Raises RewardError."""
    try:
        described = json.loads((directory / _CONFIG).read_bytes())
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        model = AutoModelForSequenceClassification.from_config(config)
        model.load_state_dict(load_file(directory / _WEIGHTS))
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        return TrlReward(model.to(device).eval(), tokenizer, described["base"], described["tokens"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise RewardError(f"The reward model in {directory} cannot be read: {error}") from None


@dataclass
class _Follower(TrainerCallback):  # type: ignore[misc]
    """Tells how a training on so many ``pairs`` goes, takes it up at a checkpoint, keeps others, and stops it."""

    checkpoints: Checkpoints
    start: Checkpoint | None
    seed: int
    how: Mapping[str, Any]
    pairs: int
    tell: Callable[[str, int, int], None]
    metric: Callable[..., None]
    should_stop: Callable[[], bool]
    stopped: bool = False
    begun: float = 0.0
    kept: float = field(default_factory=time.monotonic)

    def on_train_begin(
        self, args: Any, state: Any, control: Any, optimizer: Any, lr_scheduler: Any, **rest: Any
    ) -> None:
        if self.start:
            remember(optimizer, self.start.tensors["optimizer"])
            lr_scheduler.load_state_dict(self.start.state["schedule"])
            for group, rate in zip(optimizer.param_groups, self.start.state["rates"], strict=True):
                group["lr"] = rate

    def on_step_begin(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        torch.manual_seed(self.seed * 1_000_003 + state.global_step)
        self.begun = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self.stopped = self.should_stop()
        if self.stopped:
            control.should_training_stop = True
        else:
            self.tell("training", state.global_step, state.max_steps)

    def on_log(self, args: Any, state: Any, control: Any, logs: Mapping[str, Any], **rest: Any) -> None:
        if "loss" not in logs:
            return
        batch = args.train_batch_size
        before = (state.global_step - 1) % math.ceil(self.pairs / batch) * batch
        rate = min(batch, self.pairs - before) / (time.monotonic() - self.begun)
        said = {name: logs[name] for name in ("loss", "accuracy", "learning_rate") if name in logs}
        self.metric(step=state.global_step, epoch=state.epoch, examples_per_second=rate, **said)
        if not np.isfinite(logs["loss"]):
            raise RewardError(
                f"The loss at step {state.global_step} is not a number: train again with a smaller learning rate (it "
                f"was {self.how['learning_rate']:g})."
            )
        if control.should_training_stop or time.monotonic() - self.kept > self.how["checkpoint_seconds"]:
            self._keep(state, **rest)

    def _keep(self, state: Any, model: Any, optimizer: Any, lr_scheduler: Any, **rest: Any) -> None:
        tensors = {"weights": model.state_dict(), "optimizer": moments(optimizer)}
        where = {
            "trainer": {**asdict(state), "log_history": []},
            "schedule": lr_scheduler.state_dict(),
            "rates": [group["lr"] for group in optimizer.param_groups],
        }
        self.checkpoints.keep(Checkpoint(tensors, where))
        self.kept = time.monotonic()


def fit(
    pairs: Sequence[Preference],
    told: Mapping[str, Any],
    folder: Path,
    checkpoints: Path,
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None,
    on_metric: Callable[..., None] = lambda **values: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> tuple[TrlReward, dict[str, Any]]:
    """Train the encoder in ``folder``, called ``told["model"]``, for ``told["epochs"]``; see TrlSettings.

    RewardTrainer's own checkpoints hold pickles; those in ``checkpoints`` hold the same in safetensors and JSON, and a
    training that goes on from one ends as one that was not stopped. Raises RewardError where the encoder or the
    checkpoint cannot be read, the pairs can teach nothing, or the loss is not a number; Interrupted where
    ``should_stop`` said so.
    """
    from datasets import Dataset  # type: ignore[import-untyped]
    from transformers.utils.logging import disable_progress_bar
    from trl.trainer.reward_config import RewardConfig
    from trl.trainer.reward_trainer import RewardTrainer

    disable_progress_bar()
    how = TrlSettings(**{name: told[name] for name in TrlSettings.model_fields if name in told}).model_dump()
    sided = [pair for pair in pairs if pair.target != 0.5]
    if not sided:
        raise RewardError(
            "Every pair is a tie, or none is left: a reward model needs pairs with a preferred answer."
        )
    try:
        torch.manual_seed(told["seed"])
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModelForSequenceClassification.from_pretrained(
            folder, num_labels=1, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
    except Exception as error:  # whatever a broken folder makes the library raise
        raise RewardError(f"The encoder {told['model']} in {folder} cannot be loaded: {error}") from error

    def ids(texts: list[str]) -> list[list[int]]:
        return list(tokenizer(texts, truncation=True, max_length=how["tokens"])["input_ids"])

    swapped = [pair.target < 0.5 for pair in sided]
    chosen = [p.response_b if swap else p.response_a for p, swap in zip(sided, swapped, strict=True)]
    rejected = [p.response_a if swap else p.response_b for p, swap in zip(sided, swapped, strict=True)]
    data = Dataset.from_dict({"chosen_ids": ids(chosen), "rejected_ids": ids(rejected)})
    whole = tokenizer([*{*chosen, *rejected}], verbose=False)["input_ids"]
    cut = sum(len(one) > how["tokens"] for one in whole)

    kept = Checkpoints(
        checkpoints,
        fingerprint(pairs, {**how, "checkpoint_seconds": None}, told["epochs"], told["seed"], told["model"]),
    )
    last = kept.last()

    follower = _Follower(kept, last, told["seed"], how, len(data), on_progress, on_metric, should_stop)
    with tempfile.TemporaryDirectory() as scratch:
        arguments = RewardConfig(
            output_dir=scratch,
            num_train_epochs=told["epochs"],
            per_device_train_batch_size=how["batch"],
            learning_rate=how["learning_rate"],
            max_length=None,
            seed=told["seed"],
            bf16=torch.cuda.is_available(),
            use_cpu=not torch.cuda.is_available(),
            save_strategy="no",
            report_to="none",
            logging_steps=1,
            logging_nan_inf_filter=False,
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = RewardTrainer(
            model=model,
            args=arguments,
            train_dataset=data,
            processing_class=tokenizer,
            callbacks=[follower],
        )
        if last:
            save_file(dict(last.tensors["weights"]), Path(scratch) / "model.safetensors")
            where = json.dumps(last.state["trainer"])
            (Path(scratch) / "trainer_state.json").write_text(where, encoding="utf-8")
        trainer.train(resume_from_checkpoint=scratch if last else None)
    if follower.stopped:
        raise Interrupted
    reward = TrlReward(model.eval(), tokenizer, told["model"], how["tokens"])
    return reward, {
        "cut": cut,
        "steps": int(trainer.state.global_step),
        "left_out": len(pairs) - len(sided),
        **how,
    }
