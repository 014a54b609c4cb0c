"""A pretrained encoder small enough for tests: random weights, and a tokenizer of a few words."""

from collections.abc import Sequence
from pathlib import Path

WORDS = [
    "good",
    "fine",
    "clear",
    "kind",
    "bad",
    "poor",
    "vague",
    "rude",
    "a",
    "the",
    "of",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
]


def write_encoder(folder: Path, words: Sequence[str] = WORDS, layers: int = 3) -> Path:
    """Write it into a folder, always the same; what is no word of its is unknown to it."""
    import torch
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    known = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *words])}
    tokenizer = Tokenizer(models.WordLevel(known, "[UNK]"))
    tokenizer.normalizer, tokenizer.pre_tokenizer = normalizers.Lowercase(), pre_tokenizers.Whitespace()
    special = {
        f"{name}_token": f"[{token}]"
        for name, token in (("pad", "PAD"), ("unk", "UNK"), ("cls", "CLS"), ("sep", "SEP"))
    }
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_attention_heads": 2, "intermediate_size": 64}
    config = BertConfig(num_hidden_layers=layers, vocab_size=40, max_position_embeddings=64, **size)
    BertModel(config).save_pretrained(folder)
    return folder


def spoil(encoder: Path) -> None:
    """Have the weights of a layer be no numbers."""
    import numpy as np
    from safetensors.numpy import load_file, save_file

    weights = load_file(encoder / "model.safetensors")
    name = next(one for one in weights if one.endswith("layer.0.output.dense.weight"))
    spoilt = {**weights, name: np.full_like(weights[name], np.nan)}
    save_file(spoilt, encoder / "model.safetensors", {"format": "pt"})
