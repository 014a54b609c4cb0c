"""A pretrained encoder with a reward head, trained on pairs by the loss of Bradley & Terry (1952).

The loss of a pair is -[t log s(d) + (1 - t) log s(-d)], where d is the difference of rewards less the pair's margin, t the
share of people who prefer a, and s the logistic function. There are two recipes.

``plain``: every layer learns; the reward is MLP(z), z the mean of the last layer over the answer's tokens, MLP
Linear(256), GELU, Linear(1).

``probed``, the default: the lower two thirds of the layers are kept (the middle of an encoder knows how a text is written,
its end what it is about), and z is the standardised mean of the last two of them, once as it is and once times the root of
the number of tokens, which lets what is said count for more the more is said. The reward is the mean of two readings of z:
w . z, fitted by ridge regression, and MLP(z), trained as above. The encoder stands still, unless ``trained`` of its top
layers are to learn with the MLP.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from scipy.optimize import minimize
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
from torch import Tensor, nn
from torch.nn.functional import softplus
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from core.preferences import Preference, folds
from core.ratings import FloatArray
from core.rewards.base import Encoders, Interrupted, RewardError, sigmoid
from core.rewards.base import load as load_predictor
from core.rewards.sbert import surface_table
from core.surface import NAMES

METHOD = "transformer"
Recipe = Literal["probed", "plain"]
RIDGES = (300.0, 1000.0, 3000.0, 10_000.0)
"""Precisions of the probe's weights, chosen from by cross-validation over groups."""
_HIDDEN = 256
_WEIGHTS, _CONFIG, _STATE, _SUMS = "weights.safetensors", "reward.json", "state.json", "checksums.json"
_OPTIMIZER, _BEST = "optimizer.safetensors", "best.safetensors"
_WINDOW = 50
"""Batches whose texts are sorted by length together."""

Ints = npt.NDArray[np.int64]
Stop = Callable[[], bool]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Settings:
    """How to train.

    ``trained`` top layers learn, of those that are kept (``probed``); ``plain`` trains all. ``batch`` counts texts,
    ``accumulate`` the batches to a step. ``tokens`` is the most that is read of an answer, from its beginning;
    ``prompt_tokens`` of its prompt, from the end. After ``patience`` epochs in which the log loss on ``stop_share`` of
    the training groups is no better, training ends; the best epoch counts. A checkpoint is written every
    ``checkpoint_seconds``.
    """

    recipe: Recipe = "probed"
    epochs: int = 3
    seed: int = 0
    learning_rate: float = 3e-5
    head_rate: float = 3e-4
    weight_decay: float = 0.01
    trained: int = 0
    batch: int = 32
    accumulate: int = 1
    tokens: int = 256
    prompt_tokens: int = 0
    surface: bool = True
    stop_share: float = 0.1
    patience: int = 2
    checkpoint_seconds: float = 30.0

    def __post_init__(self) -> None:
        """Raises RewardError for a value that cannot be."""
        if self.recipe not in get_args(Recipe):
            raise RewardError(f"recipe is {self.recipe!r}; it must be probed or plain.")
        for name, least in (("epochs", 0), ("trained", 0), ("batch", 2), ("accumulate", 1), ("tokens", 8)):
            if getattr(self, name) < least:
                raise RewardError(f"{name} is {getattr(self, name)}; it must be {least} or more.")
        if not 0 <= self.stop_share < 0.9:
            raise RewardError(f"stop_share is {self.stop_share}; it must be a number from 0 to 0.9.")


SETTINGS: Mapping[str, Any] = asdict(Settings())
"""The settings of this method, and what they are unless they are told."""


class _Net(nn.Module):  # type: ignore[misc]
    """The encoder and its head; rewards of texts given as token ids."""

    def __init__(self, encoder: Any, recipe: Recipe, surface: int) -> None:
        super().__init__()
        self.encoder, self.probed = encoder, recipe == "probed"
        size = encoder.config.hidden_size * (4 if self.probed else 1) + surface
        self.register_buffer("center", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))
        self.linear = nn.Linear(size, 1, bias=False).requires_grad_(False)
        nn.init.zeros_(self.linear.weight)
        self.mlp = nn.Sequential(
            nn.Dropout(0.1), nn.Linear(size, _HIDDEN), nn.GELU(), nn.Dropout(0.1), nn.Linear(_HIDDEN, 1)
        )

    def pool(self, batch: dict[str, Tensor]) -> Tensor:
        """z of each text, (texts, size)."""
        layers = self.encoder(
            input_ids=batch["ids"], attention_mask=batch["mask"], output_hidden_states=True
        ).hidden_states[-2 if self.probed else -1 :]
        of_answer = batch["answer"].unsqueeze(-1).float()
        count = of_answer.sum(1).clamp(min=1.0)
        means = [(layer.float() * of_answer).sum(1) / count for layer in layers]
        parts = [*means, *(mean * count.sqrt() for mean in means)] if self.probed else means
        return (torch.cat([*parts, batch["surface"]], dim=1) - self.center) / self.scale

    def forward(self, batch: dict[str, Tensor]) -> Tensor:
        z = self.pool(batch)
        learnt = self.mlp(z)
        return ((self.linear(z) + learnt) / 2 if self.probed else learnt).squeeze(1)

    def unfreeze(self, top: int | None) -> None:
        """Let the top layers learn, or the whole encoder; the rest stands still, without dropout."""
        self.eval()
        self.mlp.train()
        if top is None:
            self.train()
            return
        self.encoder.requires_grad_(False)
        layers = _layers(self.encoder)
        for layer in list(layers)[max(0, len(layers) - top) :]:
            layer.requires_grad_(True).train()


@dataclass
class TransformerReward:
    """A trained encoder with its head. ``base`` is the pretrained model it began as."""

    net: _Net
    tokenizer: Any
    base: str
    settings: Settings
    method: str = field(default=METHOD, init=False)

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Reward logits, shape (n,); each distinct text is read once, those of about one length together."""
        if not responses:
            return np.empty(0)
        texts = _Texts(self.tokenizer, self.settings)
        rows = texts.add(prompts, responses)
        device = next(self.net.parameters()).device
        self.net.eval()
        scores = np.empty(len(texts.ids))
        with torch.inference_mode(), _autocast(device, training=False):
            for part in texts.by_length(64):
                scores[part] = self.net(texts.batch(part, device)).float().cpu().numpy()
        return scores[rows]

    def cut(self, prompts: Sequence[str], responses: Sequence[str]) -> int:
        """How many of the distinct texts are longer than is read."""
        texts = _Texts(self.tokenizer, self.settings)
        texts.add(prompts, responses)
        return texts.cut

    def save(self, directory: Path) -> None:
        """Write configuration, tokenizer and weights; nothing else is needed to read the model back."""
        save_file(_whole(self.net), directory / _WEIGHTS)
        self.net.encoder.config.to_json_file(directory / "config.json")
        self.tokenizer.save_pretrained(directory)
        described = {
            "base": self.base,
            "settings": asdict(self.settings),
            "surface_features": list(NAMES) if self.settings.surface else [],
        }
        (directory / _CONFIG).write_text(json.dumps(described, indent=1), encoding="utf-8")


def load(directory: Path, encoder: Encoders) -> TransformerReward:
    """The reward in a model folder, on the GPU where there is one. Raises RewardError."""
    try:
        described = json.loads((directory / _CONFIG).read_bytes())
        settings, base = Settings(**described["settings"]), str(described["base"])
        features = described["surface_features"]
        if features and tuple(features) != NAMES:
            raise RewardError(
                f"{directory} was trained on other surface features than this version has: train again."
            )
        config = AutoConfig.from_pretrained(directory, local_files_only=True)
        net = _Net(_without_pooler(AutoModel.from_config(config)), settings.recipe, len(features))
        net.load_state_dict(load_file(directory / _WEIGHTS))
        tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise RewardError(f"The reward model in {directory} cannot be read: {error}") from None
    if not all(weight.isfinite().all() for weight in net.state_dict().values()):
        raise RewardError(f"{directory} has a weight that is not a number: train it again.")
    return TransformerReward(net.to(_device()).eval(), tokenizer, base, settings)


def pretrained(folder: Path, name: str, settings: Settings) -> TransformerReward:
    """A reward that knows nothing yet, on the encoder in ``folder``. Raises RewardError where that cannot be read."""
    disable_progress_bar()
    try:
        encoder = AutoModel.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, dtype=torch.float32
        )
        config = encoder.config
        if settings.recipe == "probed":
            layers = _layers(encoder)
            config.num_hidden_layers = max(1, round(len(layers) * 2 / 3))
            del layers[config.num_hidden_layers :]
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:  # whatever a broken folder makes the library raise
        raise RewardError(f"The encoder {name} in {folder} cannot be loaded: {error}") from error
    longest = getattr(config, "max_position_embeddings", settings.tokens)
    if settings.tokens + settings.prompt_tokens > longest:
        raise RewardError(
            f"{name} reads {longest} tokens; {settings.tokens} of the answer and {settings.prompt_tokens} of the "
            "prompt are more."
        )
    torch.manual_seed(settings.seed)
    net = _Net(_without_pooler(encoder), settings.recipe, len(NAMES) if settings.surface else 0)
    return TransformerReward(net.to(_device()), tokenizer, name, settings)


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
    settings = Settings(**{name: told[name] for name in SETTINGS if told.get(name) is not None})
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
        start.settings = replace(settings, **{name: getattr(earlier.settings, name) for name in form})
    return train(pairs, start, checkpoints, None, on_progress, on_metric, should_stop)


def train(
    pairs: Sequence[Preference],
    start: TransformerReward,
    checkpoints: Path,
    margins: Sequence[float] | None = None,
    tell: Tell = lambda phase, done, total: None,
    metric: Callable[..., None] = lambda **values: None,
    should_stop: Stop = lambda: False,
) -> tuple[TransformerReward, dict[str, Any]]:
    """Train ``start`` on the pairs, from the last checkpoint in ``checkpoints`` where there is one.

    With the same seed a training that was interrupted ends as one that was not. ``margins`` is what the difference of
    rewards should exceed, per pair. ``tell(phase, done, total)`` hears of the texts ("embedding") and of the steps
    ("training"), ``metric`` of ``step``, ``epoch``, ``loss``, ``accuracy``, ``learning_rate`` (that of the encoder, where it
    learns), ``head_rate`` and ``examples_per_second``. Answers the model, and the history, the cut texts and the best epoch.

    Raises Interrupted once ``should_stop()``, RewardError where the pairs can teach nothing, the loss is not a number, or
    a checkpoint is damaged or of another training.
    """
    if not any(pair.target != 0.5 for pair in pairs):
        raise RewardError(
            "Every pair is a tie, or none is left: a reward model needs pairs with a preferred answer."
        )
    training = _Training(pairs, start, checkpoints, margins)
    training.begin(tell, should_stop)
    training.run(tell, metric, should_stop)
    return start, training.end()


class _Texts:
    """Distinct texts as token ids; ``cut`` of them were longer than is read."""

    def __init__(self, tokenizer: Any, settings: Settings) -> None:
        self._tokenizer, self._settings = tokenizer, settings
        self._row: dict[tuple[str, str], int] = {}
        self.ids: list[list[int]] = []
        self._answer: list[tuple[int, int]] = []
        self._surface: FloatArray = np.empty((0, 0))
        self.cut = 0

    def add(self, prompts: Sequence[str], responses: Sequence[str]) -> Ints:
        """The row of each text, shape (n,)."""
        limit, context = self._settings.tokens, self._settings.prompt_tokens
        keys = [(p if context else "", r) for p, r in zip(prompts, responses, strict=True)]
        fresh = [key for key in dict.fromkeys(keys) if key not in self._row]
        said = self._tokens([response for _, response in fresh])
        asked = self._tokens([prompt for prompt, _ in fresh]) if context else [[] for _ in fresh]
        first = getattr(self._tokenizer, "cls_token_id", None)
        last = getattr(self._tokenizer, "sep_token_id", None)
        before = [] if first is None else [first]
        after = [] if last is None else [last]
        for key, answer, prompt in zip(fresh, said, asked, strict=True):
            room = limit - 2
            self.cut += len(answer) > room or len(prompt) > context > 0
            lead = [*before, *prompt[-context:], *after] if prompt and context else before
            whole = [*lead, *answer[:room], *after] or [0]
            self._row[key] = len(self.ids)
            self._answer.append((len(lead) if prompt and context else 0, len(whole)))
            self.ids.append(whole)
        if self._settings.surface and fresh:
            known = surface_table([response for _, response in self._row])
            self._surface = known
        return np.array([self._row[key] for key in keys], dtype=np.int64)

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        return list(
            self._tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)[
                "input_ids"
            ]
        )

    def by_length(self, size: int) -> Iterator[Ints]:
        """All rows in batches, the longest first."""
        order = np.argsort([-len(one) for one in self.ids], kind="stable")
        for begin in range(0, len(order), size):
            yield order[begin : begin + size]

    def batch(self, rows: Ints, device: torch.device) -> dict[str, Tensor]:
        """The texts as tensors, padded to the longest of them."""
        width = max(len(self.ids[row]) for row in rows)
        pad = getattr(self._tokenizer, "pad_token_id", None) or 0
        ids = np.full((len(rows), width), pad, dtype=np.int64)
        mask, answer = np.zeros_like(ids), np.zeros_like(ids)
        for i, row in enumerate(rows):
            ids[i, : len(self.ids[row])] = self.ids[row]
            mask[i, : len(self.ids[row])] = 1
            answer[i, slice(*self._answer[row])] = 1
        surface = self._surface[rows] if self._settings.surface else np.empty((len(rows), 0))
        made = {"ids": ids, "mask": mask, "answer": answer, "surface": surface.astype(np.float32)}
        return {name: torch.from_numpy(value).to(device) for name, value in made.items()}


class _Training:
    """One training: its data, where it is, and its checkpoints."""

    def __init__(
        self,
        pairs: Sequence[Preference],
        reward: TransformerReward,
        checkpoints: Path,
        margins: Sequence[float] | None,
    ) -> None:
        self.reward, self.net, self.settings = reward, reward.net, reward.settings
        self.folder, self.device = checkpoints, next(reward.net.parameters()).device
        self.texts = _Texts(reward.tokenizer, self.settings)
        prompts = [pair.prompt for pair in pairs]
        self.a = self.texts.add(prompts, [pair.response_a for pair in pairs])
        self.b = self.texts.add(prompts, [pair.response_b for pair in pairs])
        self.target = np.array([pair.target for pair in pairs])
        weight = np.array([pair.weight for pair in pairs])
        self.weight = weight / weight.mean()
        self.margin = np.zeros(len(pairs)) if margins is None else np.asarray(margins, dtype=float)
        groups = [pair.group for pair in pairs]
        self.fold = np.array(folds(groups, 5, self.settings.seed))
        self.held = self._held_out(groups)
        self.learnt = np.flatnonzero(~self.held)
        self.step, self.since, self.history = 0, 0, list[dict[str, float]]()
        self.ridge: float | None = None
        self.best: dict[str, Tensor] = {}
        self.still: Tensor | None = None
        """z of every text, where the encoder does not learn."""
        told: list[Any] = [asdict(replace(self.settings, checkpoint_seconds=0.0)), reward.base]
        told += [[pair.prompt, pair.response_a, pair.response_b, pair.target, pair.weight] for pair in pairs]
        told.append(self.margin.tolist())
        self.fingerprint = hashlib.sha256(json.dumps(told).encode("utf-8", "surrogatepass")).hexdigest()

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
        with torch.no_grad(), _autocast(self.device, training=False):
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
            for number, batches in enumerate(steps, start=before + 1):
                if number <= self.step:
                    continue
                begun = time.monotonic()
                loss, accuracy, share = self._learn(batches, number, total)
                self.step = number
                seconds = time.monotonic() - begun
                metric(
                    step=number,
                    epoch=epoch,
                    loss=loss,
                    accuracy=accuracy,
                    learning_rate=None if self.still is not None else self.rates[0] * share,
                    head_rate=self.rates[1] * share,
                    examples_per_second=sum(map(len, batches)) / seconds,
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
            with _autocast(self.device, training=True):
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
        with torch.inference_mode(), _autocast(self.device, training=False):
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
        """Write a checkpoint, whole or not at all, in place of the one before."""
        draft, final = self.folder / ".draft", self.folder / f"step-{self.step:08d}"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        moments = {
            f"{i}.{name}": value
            for i, weight in enumerate(self._weights())
            for name, value in self.optimizer.state.get(weight, {}).items()
        }
        save_file({k: v.contiguous() for k, v in self._changing().items()}, draft / _WEIGHTS)
        save_file({k: v.contiguous() for k, v in self.best.items()}, draft / _BEST)
        save_file({k: v.contiguous() for k, v in moments.items()}, draft / _OPTIMIZER)
        state = {
            "step": self.step,
            "since": self.since,
            "history": self.history,
            "ridge": self.ridge,
            "fingerprint": self.fingerprint,
        }
        (draft / _STATE).write_text(json.dumps(state), encoding="utf-8")
        sums = {path.name: _sha256(path) for path in sorted(draft.iterdir())}
        (draft / _SUMS).write_text(json.dumps(sums), encoding="utf-8")
        for path in draft.iterdir():
            _flush(path)
        shutil.rmtree(final, ignore_errors=True)
        draft.rename(final)
        _flush(self.folder)
        for old in self.folder.glob("step-*"):
            if old != final:
                shutil.rmtree(old)

    def _restore(self) -> bool:
        """Take up the last checkpoint. Raises RewardError where it is damaged, or of another training."""
        found = sorted(self.folder.glob("step-*"))
        if not found:
            return False
        last = found[-1]
        again = f"Delete {self.folder} to train from the beginning."
        try:
            sums = json.loads((last / _SUMS).read_bytes())
            wrong = [
                name
                for name in (_WEIGHTS, _BEST, _OPTIMIZER, _STATE)
                if _sha256(last / name) != sums.get(name)
            ]
            if wrong:
                raise RewardError(
                    f"The checkpoint {last / wrong[0]} is not what was saved (its SHA-256 differs). {again}"
                )
            state = json.loads((last / _STATE).read_bytes())
            weights, self.best = load_file(last / _WEIGHTS), load_file(last / _BEST)
            moments = load_file(last / _OPTIMIZER)
        except (OSError, ValueError, AttributeError, SafetensorError) as error:
            raise RewardError(f"The checkpoint {last} cannot be read: {error}. {again}") from None
        if state["fingerprint"] != self.fingerprint:
            raise RewardError(f"The checkpoint {last} is of other data or settings. {again}")
        self.net.load_state_dict(weights, strict=False)
        for name, value in moments.items():
            i, part = name.split(".", 1)
            weight = self._weights()[int(i)]
            self.optimizer.state[weight][part] = value if part == "step" else value.to(self.device)
        self.step, self.since, self.history = state["step"], state["since"], state["history"]
        self.ridge = state["ridge"]
        return True

    def _weights(self) -> list[Tensor]:
        return [weight for group in self.optimizer.param_groups for weight in group["params"]]


def bradley_terry(difference: Tensor, target: Tensor, margin: Tensor | float = 0.0) -> Tensor:
    """-[t log s(d) + (1 - t) log s(-d)] of each pair; a margin is what the difference should exceed, whichever side."""
    return target * softplus(margin - difference) + (1 - target) * softplus(margin + difference)


def batches(a: Ints, b: Ints, lengths: Ints, size: int, rng: np.random.Generator) -> list[Ints]:
    """Pairs (a[i], b[i]) of texts in batches of at most ``size`` distinct texts, each text in as few as can be.

    Pairs that share texts stay together, so that an answer that is in many pairs is read once for all of them; the
    others are with texts of about their length, so that little is padding. The order is drawn from ``rng``.
    """
    units = [rng.permutation(unit) for unit in _connected(a, b, len(lengths))]
    order = rng.permutation(len(units))
    longest = np.array([max(lengths[a[unit]].max(), lengths[b[unit]].max()) for unit in units])
    texts = [len(set(a[unit]) | set(b[unit])) for unit in units]
    made: list[list[int]] = []
    window: list[int] = []
    filled = 0
    for unit in order:
        window.append(int(unit))
        filled += texts[unit]
        if filled >= _WINDOW * size:
            made += _packed(a, b, [units[u] for u in sorted(window, key=longest.__getitem__)], size)
            window, filled = [], 0
    made += _packed(a, b, [units[u] for u in sorted(window, key=longest.__getitem__)], size)
    return [np.array(made[i], dtype=np.int64) for i in rng.permutation(len(made))]


def _packed(a: Ints, b: Ints, units: Sequence[Ints], size: int) -> list[list[int]]:
    """Units whole into batches while they fit; one that is larger than a batch is cut where few texts are read twice."""
    made: list[list[int]] = []
    batch: list[int] = []
    seen: set[int] = set()
    for unit in units:
        left = unit.tolist()
        while left:
            texts = {int(text) for pair in left for text in (a[pair], b[pair])}
            if batch and len(seen | texts) > size:
                made.append(batch)
                batch, seen = [], set()
            for pair in left:
                both = seen | {int(a[pair]), int(b[pair])}
                seen = both if len(both) <= size else seen
            batch += [pair for pair in left if {int(a[pair]), int(b[pair])} <= seen]
            left = [pair for pair in left if not {int(a[pair]), int(b[pair])} <= seen]
    return [*made, batch] if batch else made


def _connected(a: Ints, b: Ints, count: int) -> list[Ints]:
    """The pairs of each connected part of the graph whose edges they are."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a)), (a, b)), shape=(count, count))
    _, part = connected_components(graph, directed=False)
    of_pair = part[a]
    order = np.argsort(of_pair, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(of_pair[order])) + 1)


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
        return np.asarray(minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x)

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


def _whole(net: nn.Module) -> dict[str, Tensor]:
    return {name: weight.detach().cpu().contiguous() for name, weight in net.state_dict().items()}


def _layers(encoder: Any) -> nn.ModuleList:
    depth = encoder.config.num_hidden_layers
    return next(m for m in encoder.modules() if isinstance(m, nn.ModuleList) and len(m) == depth)


def _without_pooler(encoder: Any) -> Any:
    if getattr(encoder, "pooler", None) is not None:
        encoder.pooler = None
    return encoder


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _autocast(device: torch.device, training: bool) -> Any:
    """bfloat16 where the device computes in it; scores on the processor stay in float32."""
    half = device.type == "cuda" or (training and _has_bf16())
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def _has_bf16() -> bool:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in told or "amx_bf16" in told


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
