"""A pretrained encoder with a reward head, trained on pairs by the loss of Bradley & Terry (1952).

The loss of a pair is -[t log s(d) + (1 - t) log s(-d)], where d is the difference of rewards less the pair's margin, t the
share of people who prefer a, and s the logistic function. A margin (Touvron et al. 2023, Llama 2, eq. 2) is what the setting
says where all agree, and |2t - 1| of it elsewhere. There are two recipes.

``plain``: every layer learns; the reward is MLP(z), z the mean of the last layer over the answer's tokens, MLP
Linear(256), GELU, Linear(1).

``probed``, the default: the lower two thirds of the layers are kept (the middle of an encoder knows how a text is written,
its end what it is about), and z is the standardised mean of the last two of them, once as it is and once times the root of
the number of tokens, which lets what is said count for more the more is said. The reward is the mean of two readings of z:
w . z, fitted by ridge regression, and MLP(z), trained as above. The encoder stands still, unless ``trained`` of its top
layers are to learn with the MLP.
"""

import math
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import numpy.typing as npt
import scipy
import torch
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn.functional import softplus

from core.preferences import Preference, folds
from core.ratings import FloatArray
from core.rewards.base import Interrupted, RewardError, sigmoid
from core.rewards.base import load as load_predictor
from core.rewards.checkpoints import Checkpoint, Checkpoints, fingerprint, moments, remember
from core.rewards.network import TransformerReward, autocast, load, pretrained
from core.rewards.settings import Settings
from core.rewards.texts import Ints, batches

__all__ = ["fit", "load", "train"]

RIDGES = (300.0, 1000.0, 3000.0, 10_000.0)
"""Precisions of the probe's weights, chosen from by cross-validation over groups."""

Stop = Callable[[], bool]
Tell = Callable[[str, int, int], None]


def fit(
    pairs: Sequence[Preference],
    told: Mapping[str, Any],
    folder: Path,
    checkpoints: Path,
    on_progress: Tell = lambda phase, done, total: None,
    on_metric: Callable[..., None] = lambda **values: None,
    should_stop: Stop = lambda: False,
) -> tuple[TransformerReward, dict[str, Any]]:
    """``train`` as a job is told to: Settings by their names, and ``model``, the encoder in ``folder``.

    With ``from``, the folder or run of an earlier model of this method, that is trained on from; its form, that is its recipe,
    the tokens it reads and its surface features, stays.
    """
    settings = Settings(**{name: told[name] for name in Settings.model_fields if name in told})
    if told.get("from") is None:
        start = pretrained(folder, told["model"], settings)
    else:
        earlier = load_predictor(Path(told["from"]), _no_encoder).model
        if not isinstance(earlier, TransformerReward):
            raise RewardError(
                f"{told['from']} is of method {earlier.method}; only a transformer can be trained on from."
            )
        start = earlier
        form = ("recipe", "tokens", "prompt_tokens", "surface")
        start.settings = settings.model_copy(update={name: getattr(earlier.settings, name) for name in form})
    return train(pairs, start, checkpoints, on_progress, on_metric, should_stop)


def train(
    pairs: Sequence[Preference],
    start: TransformerReward,
    checkpoints: Path,
    tell: Tell = lambda phase, done, total: None,
    metric: Callable[..., None] = lambda **values: None,
    should_stop: Stop = lambda: False,
) -> tuple[TransformerReward, dict[str, Any]]:
    """Train ``start`` on the pairs, from the last checkpoint in ``checkpoints`` where there is one.

    With the same seed a training that was interrupted ends as one that was not. ``tell(phase, done, total)`` hears of the texts ("embedding") and of the steps
    ("training"), ``metric`` of ``step``, ``epoch``, ``loss``, ``accuracy``, ``learning_rate`` (that of the encoder, where it
    learns), ``head_rate`` and ``examples_per_second``. Answers the model, and the history, the cut texts and the best epoch.

    Raises Interrupted once ``should_stop()``, RewardError where the pairs can teach nothing, the loss is not a number, or
    a checkpoint is damaged or of another training.
    """
    if not any(pair.target != 0.5 for pair in pairs):
        raise RewardError(
            "Every pair is a tie, or none is left: a reward model needs pairs with a preferred answer."
        )
    training = _Training(pairs, start, checkpoints)
    training.begin(tell, should_stop)
    training.run(tell, metric, should_stop)
    return start, training.end()


class _Training:
    """One training: its data, where it is, and its checkpoints."""

    def __init__(self, pairs: Sequence[Preference], reward: TransformerReward, checkpoints: Path) -> None:
        self.reward, self.net, self.settings = reward, reward.net, reward.settings
        self.device = next(reward.net.parameters()).device
        self.texts = reward.texts()
        prompts = [pair.prompt for pair in pairs]
        self.a = self.texts.add(prompts, [pair.response_a for pair in pairs])
        self.b = self.texts.add(prompts, [pair.response_b for pair in pairs])
        self.target = np.array([pair.target for pair in pairs])
        weight = np.array([pair.weight for pair in pairs])
        self.weight = weight / weight.mean()
        self.margin = self.settings.margin * np.abs(2 * self.target - 1)
        groups = [pair.group for pair in pairs]
        self.fold = np.array(folds(groups, 5, self.settings.seed))
        self.held = self._held_out(groups)
        self.learnt = np.flatnonzero(~self.held)
        self.step, self.since, self.history = 0, 0, list[dict[str, float]]()
        self.ridge: float | None = None
        self.best: dict[str, Tensor] = {}
        self.still: Tensor | None = None
        """z of every text, where the encoder does not learn."""
        settings = self.settings.model_dump(exclude={"checkpoint_seconds"})
        self.checkpoints = Checkpoints(checkpoints, fingerprint(pairs, settings, reward.base))

    def _held_out(self, groups: Sequence[str]) -> npt.NDArray[np.bool_]:
        share = self.settings.stop_share
        count = round(1 / share) if share else 0
        if self.settings.epochs == 0 or count < 2 or len(set(groups)) < max(4, count):
            return np.zeros(len(groups), dtype=bool)
        held = np.array(folds(groups, count, self.settings.seed)) == 0
        return held if (self.target[~held] != 0.5).any() else np.zeros(len(groups), dtype=bool)

    def begin(self, tell: Tell, should_stop: Stop) -> None:
        """Take up the last checkpoint; where there is none, fit the probe."""
        self.net.unfreeze(self.settings.trained if self.settings.recipe == "probed" else None)
        heads: list[Tensor] = []
        body: list[Tensor] = []
        for name, weight in self.net.named_parameters():
            if weight.requires_grad:
                (body if name.startswith("encoder.") else heads).append(weight)
        self.optimizer = torch.optim.AdamW(
            [
                {"params": body, "lr": self.settings.learning_rate},
                {"params": heads, "lr": self.settings.head_rate},
            ],
            weight_decay=self.settings.weight_decay,
        )
        self.rates = [group["lr"] for group in self.optimizer.param_groups]
        restored = self._restore()
        if self.settings.recipe == "probed":
            pooled = None
            if not restored and not self.net.linear.weight.any():
                raw = self._pooled(tell, should_stop)
                self._probe(raw)
                pooled = (raw - self.net.center) / self.net.scale
            if self.settings.trained == 0:
                self.still = self._pooled(tell, should_stop) if pooled is None else pooled
        if not restored:
            self._keep()

    def _pooled(self, tell: Tell, should_stop: Stop) -> Tensor:
        """z of every text under the encoder as it is."""
        self.net.eval()
        pooled = torch.empty((len(self.texts.ids), len(self.net.center)), device=self.device)
        done = 0
        with torch.no_grad(), autocast(self.device, training=False):
            for part in self.texts.by_length(64):
                if should_stop():
                    raise Interrupted
                pooled[part] = self.net.pool(self.texts.batch(part, self.device)).float()
                done += len(part)
                tell("embedding", done, len(pooled))
        return pooled

    def _probe(self, pooled: Tensor) -> None:
        """Standardise z, and fit w by ridge regression."""
        z = pooled.cpu().numpy()
        center, scale = z.mean(0), z.std(0)
        scale[scale < 1e-6] = 1.0
        with threadpool_limits(
            1, "blas"
        ):  # threads slow products this small, a hundredfold on a busy machine
            self.ridge, w = _ridge(
                (z - center) / scale, self.a, self.b, self.target, self.weight, self.margin, self.fold
            )
        with torch.no_grad():
            self.net.center.copy_(torch.from_numpy(center))
            self.net.scale.copy_(torch.from_numpy(scale))
            self.net.linear.weight.copy_(torch.from_numpy(w.astype(np.float32))[None])

    def run(self, tell: Tell, metric: Callable[..., None], should_stop: Stop) -> None:
        """The epochs that are left."""
        kept = time.monotonic()
        per_epoch = [self._steps(epoch) for epoch in range(self.settings.epochs)]
        total = sum(map(len, per_epoch))
        before = 0
        for epoch, steps in enumerate(per_epoch, start=1):
            if self.since > self.settings.patience:
                break
            for number, step in enumerate(steps, start=before + 1):
                if number <= self.step:
                    continue
                begun = time.monotonic()
                loss, accuracy, share = self._learn(step, number, total)
                self.step = number
                seconds = time.monotonic() - begun
                metric(
                    step=number,
                    epoch=epoch,
                    loss=loss,
                    accuracy=accuracy,
                    learning_rate=None if self.still is not None else self.rates[0] * share,
                    head_rate=self.rates[1] * share,
                    examples_per_second=sum(map(len, step)) / seconds,
                )
                if should_stop():
                    self._keep()
                    raise Interrupted
                tell("training", number, total)
                if time.monotonic() - kept > self.settings.checkpoint_seconds:
                    self._keep()
                    kept = time.monotonic()
            before += len(steps)
            if self.held.any() and (not self.history or self.history[-1]["epoch"] < epoch):
                self._judge(epoch)
                self._keep()
                metric(step=self.step, epoch=epoch, held_out_loss=self.history[-1]["log_loss"])
            if should_stop():
                raise Interrupted

    def _learn(self, batches: Sequence[Ints], number: int, total: int) -> tuple[float, float, float]:
        """One step; the loss, the accuracy, and the share of the learning rates it was taken with."""
        settings = self.settings
        self.net.unfreeze(settings.trained if settings.recipe == "probed" else None)
        torch.manual_seed(settings.seed * 1_000_003 + number)
        warm = max(1, round(0.1 * total))
        share = min(number / warm, (total - number + 1) / max(1, total - warm + 1))
        for group, rate in zip(self.optimizer.param_groups, self.rates, strict=True):
            group["lr"] = rate * share
        self.optimizer.zero_grad()
        whole = sum(self.weight[batch].sum() for batch in batches)
        lost, right, sided = 0.0, 0.0, 0
        for batch in batches:
            rows, at = np.unique(np.concatenate([self.a[batch], self.b[batch]]), return_inverse=True)
            with autocast(self.device, training=True):
                rewards = self._learnt(rows)
            a, b = torch.from_numpy(at).to(self.device).split(len(batch))
            difference = rewards[a] - rewards[b]
            target, weight, margin = (
                torch.from_numpy(values[batch]).float().to(self.device)
                for values in (self.target, self.weight, self.margin)
            )
            loss = (weight * bradley_terry(difference, target, margin)).sum() / whole
            loss.backward()
            lost += float(loss.detach())
            clear = target != 0.5
            right += float(((difference > 0) == (target > 0.5))[clear].sum())
            sided += int(clear.sum())
        if not math.isfinite(lost):
            raise RewardError(
                f"The loss at step {number} is not a number: train again with a smaller learning rate (it was "
                f"{settings.learning_rate:g})."
            )
        nn.utils.clip_grad_norm_((w for g in self.optimizer.param_groups for w in g["params"]), 1.0)
        self.optimizer.step()
        return lost, right / max(sided, 1), share

    def _learnt(self, rows: Ints) -> Tensor:
        """The rewards of texts by what is being learnt, without the probe."""
        if self.still is not None:
            return self.net.mlp(self.still[rows]).squeeze(1).float()
        return self.net.mlp(self.net.pool(self.texts.batch(rows, self.device))).squeeze(1).float()

    def _judge(self, epoch: int) -> None:
        """Log loss and accuracy on the groups held out for stopping; remember the best."""
        held = np.flatnonzero(self.held)
        self.net.eval()
        scores = np.zeros(len(self.texts.ids))
        wanted = np.unique(np.concatenate([self.a[held], self.b[held]]))
        with torch.inference_mode(), autocast(self.device, training=False):
            for part in self.texts.by_length(64):
                rows = part[np.isin(part, wanted)]
                if len(rows):
                    scores[rows] = self._learnt(rows).cpu().numpy()
        d, t = scores[self.a[held]] - scores[self.b[held]], self.target[held]
        loss = float(np.average(np.logaddexp(0, d) - t * d, weights=self.weight[held]))
        if not math.isfinite(loss):
            raise RewardError(
                f"The rewards after epoch {epoch} are not numbers: train again with a smaller learning rate (it was "
                f"{self.settings.learning_rate:g})."
            )
        best = min((one["log_loss"] for one in self.history), default=math.inf)
        right = float(((d > 0) == (t > 0.5))[t != 0.5].mean()) if (t != 0.5).any() else math.nan
        self.history.append({"epoch": epoch, "log_loss": loss, "accuracy": right})
        self.since = 0 if loss < best else self.since + 1
        if loss < best:
            self.best = {name: weight.clone() for name, weight in self._changing().items()}

    def _steps(self, epoch: int) -> list[list[Ints]]:
        """The steps of an epoch, each a list of batches of pairs, in an order of its own."""
        rng = np.random.default_rng([self.settings.seed, epoch])
        lengths = np.array([len(one) for one in self.texts.ids])
        made = batches(self.a[self.learnt], self.b[self.learnt], lengths, self.settings.batch, rng)
        found = [self.learnt[batch] for batch in made]
        return [
            found[i : i + self.settings.accumulate] for i in range(0, len(found), self.settings.accumulate)
        ]

    def end(self) -> dict[str, Any]:
        """Put the best epoch's weights in place; what a report should tell."""
        if self.best:
            self.net.load_state_dict(self.best, strict=False)
        self.net.eval()
        best = min(self.history, key=lambda one: one["log_loss"]) if self.history else None
        return {
            "history": self.history,
            "best_epoch": int(best["epoch"]) if best else self.settings.epochs,
            "steps": self.step,
            "cut": self.texts.cut,
            "texts": len(self.texts.ids),
            "ridge": self.ridge,
            "layers": self.net.encoder.config.num_hidden_layers,
        }

    def _changing(self) -> dict[str, Tensor]:
        """The weights that training changes."""
        still = {
            name
            for name, weight in self.net.encoder.named_parameters(prefix="encoder")
            if not weight.requires_grad
        }
        return {name: w.detach() for name, w in self.net.state_dict().items() if name not in still}

    def _keep(self) -> None:
        tensors = {"weights": self._changing(), "best": self.best, "optimizer": moments(self.optimizer)}
        state = {"step": self.step, "since": self.since, "history": self.history, "ridge": self.ridge}
        self.checkpoints.keep(Checkpoint(tensors, state))

    def _restore(self) -> bool:
        """Take up the last checkpoint, where there is one."""
        found = self.checkpoints.last()
        if found is None:
            return False
        self.net.load_state_dict(found.tensors["weights"], strict=False)
        self.best = dict(found.tensors["best"])
        remember(self.optimizer, found.tensors["optimizer"])
        self.step, self.since, self.history, self.ridge = (
            found.state[name] for name in ("step", "since", "history", "ridge")
        )
        return True


def bradley_terry(difference: Tensor, target: Tensor, margin: Tensor | float = 0.0) -> Tensor:
    """-[t log s(d) + (1 - t) log s(-d)] of each pair; a margin is what the difference should exceed, whichever side."""
    return target * softplus(margin - difference) + (1 - target) * softplus(margin + difference)


def _ridge(
    z: npt.NDArray[np.float32],
    a: Ints,
    b: Ints,
    target: FloatArray,
    weight: FloatArray,
    margin: FloatArray,
    fold: Ints,
) -> tuple[float, FloatArray]:
    """The precision with the least log loss out of fold, and the weights w, shape (size,), under it on all pairs."""

    def fitted(ridge: float, rows: Ints, start: FloatArray) -> FloatArray:
        left, right, t, weigh, m = a[rows], b[rows], target[rows], weight[rows], margin[rows]

        def loss(w: FloatArray) -> tuple[float, FloatArray]:
            r = (z @ w.astype(np.float32)).astype(float)
            d = r[left] - r[right]
            value = weigh @ (t * np.logaddexp(0, m - d) + (1 - t) * np.logaddexp(0, m + d))
            slope = weigh * ((1 - t) * sigmoid(m + d) - t * sigmoid(m - d))
            of_text = np.bincount(left, slope, len(z)) - np.bincount(right, slope, len(z))
            grad = (of_text.astype(np.float32) @ z).astype(float) + ridge * w
            return float(value + ridge / 2 * (w @ w)), grad

        options = {"maxiter": 200, "ftol": 1e-7}
        return np.asarray(
            scipy.optimize.minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
        )

    every, nothing = np.arange(len(a)), np.zeros(z.shape[1])
    best = RIDGES[1]
    if len(np.unique(fold)) > 1:
        lost: dict[float, Any] = dict.fromkeys(RIDGES, 0.0)
        for one in np.unique(fold):
            w = nothing
            out = np.flatnonzero(fold == one)
            for ridge in sorted(RIDGES, reverse=True):
                w = fitted(ridge, np.flatnonzero(fold != one), w)
                d = (z @ w)[a[out]] - (z @ w)[b[out]]
                lost[ridge] += weight[out] @ (np.logaddexp(0, d) - target[out] * d)
        best = min(RIDGES, key=lost.__getitem__)
    return best, fitted(best, every, nothing)


def _no_encoder(name: str) -> Any:
    raise RewardError(
        f"The model to train on is built on the encoder {name}; only a transformer can be trained on."
    )
