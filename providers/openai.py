"""Any server that speaks OpenAI's chat completions: OpenAI, Groq, DeepSeek, Together, vLLM, Ollama."""

from collections.abc import Mapping, Sequence
from typing import Any

import openai

from core.generation import Sampling
from core.records import Message
from providers.base import split_system
from providers.http import Account, Answer, HttpProvider, Malformed, http_client


class OpenAICompatible(HttpProvider):
    """``aliases`` are short names for models. OpenAI itself counts thinking in ``max_completion_tokens``, a field
    that other servers do not all know."""

    def __init__(self, account: Account, aliases: Mapping[str, str]) -> None:
        super().__init__(account, openai)
        self._aliases = aliases
        self._limit = "max_completion_tokens" if "api.openai.com" in account.base_url else "max_tokens"
        self._client = client(account)

    def _request(
        self, messages: Sequence[Message], settings: Sampling, model: str, temperature: float | None
    ) -> Answer:
        system, turns = split_system(messages, settings.system)
        chat = [{"role": "system", "content": system}] if system else []
        body: dict[str, Any] = {
            "model": self._aliases.get(model, model),
            "messages": chat + [{"role": m.role, "content": m.content} for m in turns],
            self._limit: settings.max_tokens,
        }
        if temperature is not None:
            body["temperature"] = temperature
        if settings.seed is not None:
            body["seed"] = settings.seed
        reply = self._client.chat.completions.create(**body)
        try:
            choice = reply.choices[0]
            text, usage = choice.message.content, reply.usage
            read, written = (usage.prompt_tokens, usage.completion_tokens) if usage else (None, None)
            return Answer(text, reply.model or model, read, written, choice.finish_reason)
        except (AttributeError, IndexError, TypeError):
            raise Malformed from None


def client(account: Account) -> openai.OpenAI:
    """OpenAI's own client, which does not repeat requests by itself."""
    return openai.OpenAI(
        api_key=account.key,
        base_url=account.base_url,
        timeout=account.timeout,
        max_retries=0,
        http_client=http_client(account.timeout),
    )
