"""A pretrained encoder with a reward head, of the two recipes that ``core.rewards.transformer`` explains and trains."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from core.ratings import FloatArray
from core.rewards.base import Encoders, RewardError
from core.rewards.settings import Recipe, Settings
from core.rewards.texts import Texts
from core.surface import NAMES

METHOD = "transformer"
_HIDDEN = 256
_WEIGHTS, _CONFIG = "weights.safetensors", "reward.json"


class Net(nn.Module):  # type: ignore[misc]
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

    net: Net
    tokenizer: Any
    base: str
    settings: Settings
    method: str = field(default=METHOD, init=False)

    def texts(self) -> Texts:
        """An empty list of texts, to be read as this model reads them."""
        told = self.settings
        return Texts(self.tokenizer, told.tokens, told.prompt_tokens, told.surface)

    def score(self, prompts: Sequence[str], responses: Sequence[str]) -> FloatArray:
        """Reward logits, shape (n,); each distinct text is read once, those of about one length together."""
        if not responses:
            return np.empty(0)
        texts = self.texts()
        rows = texts.add(prompts, responses)
        device = next(self.net.parameters()).device
        self.net.eval()
        scores = np.empty(len(texts.ids))
        with torch.inference_mode(), autocast(device, training=False):
            for part in texts.by_length(64):
                scores[part] = self.net(texts.batch(part, device)).float().cpu().numpy()
        return scores[rows]

    def cut(self, prompts: Sequence[str], responses: Sequence[str]) -> int:
        """How many of the distinct texts are longer than is read."""
        texts = self.texts()
        texts.add(prompts, responses)
        return texts.cut

    def save(self, directory: Path) -> None:
        """Write configuration, tokenizer and weights; nothing else is needed to read the model back."""
        save_file(_whole(self.net), directory / _WEIGHTS)
        self.net.encoder.config.to_json_file(directory / "config.json")
        self.tokenizer.save_pretrained(directory)
        described = {
            "base": self.base,
            "settings": self.settings.model_dump(),
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
        net = Net(_without_pooler(AutoModel.from_config(config)), settings.recipe, len(features))
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
    net = Net(_without_pooler(encoder), settings.recipe, len(NAMES) if settings.surface else 0)
    return TransformerReward(net.to(_device()), tokenizer, name, settings)


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


def autocast(device: torch.device, training: bool) -> Any:
    """bfloat16 where the device computes in it; scores on the processor stay in float32."""
    half = device.type == "cuda" or (training and _has_bf16())
    return torch.autocast(device.type, torch.bfloat16, enabled=half)


def _has_bf16() -> bool:
    try:
        told = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in told or "amx_bf16" in told
