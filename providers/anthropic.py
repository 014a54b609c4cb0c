"""Anthropic's Messages API."""

from collections.abc import Sequence
from typing import Any

import anthropic

from core.generation import Sampling
from core.records import Message
from providers.base import split_system
from providers.http import Account, Answer, HttpProvider, Malformed, http_client

WITH_TEMPERATURE = "2023-06-01"
"""The last version of the API that takes a temperature, for the models that still have one."""


class Anthropic(HttpProvider):
    """The API has no seed: a ``seed`` in the sampling has no effect."""

    def __init__(self, account: Account) -> None:
        super().__init__(account, anthropic)
        self._client = anthropic.Anthropic(
            api_key=account.key,
            base_url=account.base_url,
            timeout=account.timeout,
            max_retries=0,
            http_client=http_client(account.timeout),
        )

    def _request(
        self, messages: Sequence[Message], settings: Sampling, model: str, temperature: float | None
    ) -> Answer:
        system, turns = split_system(messages, settings.system)
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": m.role, "content": m.content} for m in turns],
            "max_tokens": settings.max_tokens,
        }
        if system:
            body["system"] = system
        if temperature is not None:
            body["extra_body"] = {"temperature": temperature}
            body["extra_headers"] = {"anthropic-version": WITH_TEMPERATURE}
        reply = self._client.messages.create(**body)
        try:
            text = "".join(block.text for block in reply.content if block.type == "text")
            usage = reply.usage
            return Answer(
                text, reply.model or model, usage.input_tokens, usage.output_tokens, reply.stop_reason
            )
        except (AttributeError, TypeError):
            raise Malformed from None
