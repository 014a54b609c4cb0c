"""A causal language model on this machine, through transformers."""

import threading
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

from core.generation import Completion, ProviderError, Sampling
from core.records import Message
from providers.base import split_system

_LOCK = threading.Lock()


class HfLocal:
    """``settings.model`` is a path or a name; it is loaded once per process, and one answer is written at a time."""

    def complete(self, messages: Sequence[Message], settings: Sampling) -> Completion:
        if not settings.model:
            raise ProviderError("hf_local has no default model: give the path or the name of one.")
        with _LOCK:
            return _generate(settings.model, messages, settings)


def _generate(name: str, messages: Sequence[Message], settings: Sampling) -> Completion:
    import torch

    tokenizer, model = _load(name)
    started = time.monotonic()
    text = _render(name, tokenizer, messages, settings.system)
    has_template = tokenizer.chat_template is not None
    inputs = tokenizer(text, return_tensors="pt", add_special_tokens=not has_template).to(model.device)
    length = inputs["input_ids"].shape[1]
    room = getattr(model.config, "max_position_embeddings", length + settings.max_tokens) - length
    if room < 1:
        raise ProviderError(
            f"The prompt has {length} tokens, which leaves {name} no room to answer: shorten it."
        )
    if settings.seed is not None:
        torch.manual_seed(settings.seed)
    temperature = 1.0 if settings.temperature is None else settings.temperature
    sampled = {"do_sample": True, "temperature": temperature} if temperature > 0 else {"do_sample": False}
    padding = tokenizer.eos_token_id if tokenizer.pad_token_id is None else tokenizer.pad_token_id
    try:
        with torch.inference_mode():
            output = model.generate(
                **inputs, max_new_tokens=min(settings.max_tokens, room), pad_token_id=padding, **sampled
            )
    except RuntimeError as error:
        raise ProviderError(f"{name} failed while writing (out of memory?): {str(error)[:200]}") from error
    answer = output[0, length:]
    written = tokenizer.decode(answer, skip_special_tokens=True)
    if not written.strip():
        raise ProviderError(f"{name} gave an empty answer: change the prompt or raise the temperature.")
    return Completion(written, name, length, len(answer), time.monotonic() - started, temperature)


@cache
def _load(name: str) -> tuple[Any, Any]:
    try:
        import torch
        from transformers import AutoModelForCausalLM, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype="auto", use_safetensors=True)
    except (OSError, ValueError, ImportError) as error:
        raise ProviderError(
            f"The model {name} cannot be loaded: give the path of a directory with config.json, tokenizer and weights, "
            f"or the name of a model that this machine has or may download. ({str(error).splitlines()[0][:200]})"
        ) from error
    return tokenizer, model.to("cuda" if torch.cuda.is_available() else "cpu").eval()


def _render(name: str, tokenizer: Any, messages: Sequence[Message], system: str | None) -> str:
    """The chat as the model's template writes it; without a template, turns with their roles."""
    from jinja2 import TemplateError

    text, turns = split_system(messages, system)
    chat = [{"role": "system", "content": text}] if text else []
    chat += [{"role": m.role, "content": m.content} for m in turns]
    if tokenizer.chat_template is None:
        return "\n\n".join([*(f"{m['role'].capitalize()}: {m['content']}" for m in chat), "Assistant:"])
    try:
        return str(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))
    except TemplateError as error:
        raise ProviderError(f"The chat template of {name} refuses this chat: {error}") from error
