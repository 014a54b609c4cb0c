"""The outside world that answers prompts: `connect` opens a provider by name, `available` says which can be used."""

import importlib.util
import os
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import SecretStr

from core.generation import ProviderError
from core.settings import Settings
from providers.base import Patience, Provider, RateLimit

if TYPE_CHECKING:
    from providers.http import Account
    from providers.openai_tuning import OpenAITuning

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
"""The model libraries tell nobody what they are used for."""


@dataclass(frozen=True, slots=True)
class _Service:
    """``key_field`` and ``url_field`` name settings; ``base_url`` "" means that one must be set."""

    title: str
    key_field: str | None
    url_field: str | None
    base_url: str
    model: str | None


_SERVICES = {
    "openai": _Service(
        "OpenAI", "openai_api_key", "openai_base_url", "https://api.openai.com/v1", "gpt-5.4-mini"
    ),
    "anthropic": _Service(
        "Anthropic",
        "anthropic_api_key",
        "anthropic_base_url",
        "https://api.anthropic.com",
        "claude-haiku-4-5",
    ),
    "groq": _Service("Groq", "groq_api_key", None, "https://api.groq.com/openai/v1", "default"),
    "deepseek": _Service("DeepSeek", "deepseek_api_key", None, "https://api.deepseek.com", "deepseek-flash"),
    "together": _Service(
        "Together",
        "together_api_key",
        None,
        "https://api.together.xyz/v1",
        "meta-llama/Llama-3.3-70B-Instruct-Turbo",
    ),
    "vllm": _Service("vLLM", None, "vllm_base_url", "", None),
    "ollama": _Service("Ollama", None, "ollama_base_url", "", None),
}
_ALIASES = {
    "groq": {
        "default": "openai/gpt-oss-120b",
        "fast": "openai/gpt-oss-20b",
        "mixtral": "openai/gpt-oss-120b",
        "gemma": "openai/gpt-oss-20b",
    }
}
"""Groq retired Mixtral (2025) and Gemma 2 (2025); their aliases lead to the models of that size it serves now."""

NAMES = ("mock", *_SERVICES, "hf_local")


def available(settings: Settings) -> dict[str, str | None]:
    """Every provider by name, with None where it can be used, else what is missing."""
    return {name: _missing(name, settings) for name in NAMES}


def connect(name: str, settings: Settings) -> Provider:
    """The provider called ``name``; raises ProviderError saying what is missing. SDKs are imported here, not before."""
    if reason := _missing(name, settings):
        raise ProviderError(reason)
    if name == "mock":
        from providers.mock import Mock

        return Mock()
    if name == "hf_local":
        from providers.hf_local import HfLocal

        return HfLocal()
    account = _account(name, settings)
    if name == "anthropic":
        from providers.anthropic import Anthropic

        return Anthropic(account)
    from providers.openai import OpenAICompatible

    return OpenAICompatible(account, _ALIASES.get(name, {}))


def connect_tuning(settings: Settings) -> "OpenAITuning":
    """Fine-tuning at OpenAI, or at a server that speaks its protocol; raises ProviderError as ``connect`` does."""
    if reason := _missing("openai", settings):
        raise ProviderError(reason)
    from providers.openai_tuning import OpenAITuning

    return OpenAITuning(_account("openai", settings))


def environment(settings: Settings) -> dict[str, str]:
    """The environment variables with which another process connects as this one does; they hold the keys."""
    services = _SERVICES.values()
    texts = {_variable(s.url_field): getattr(settings, s.url_field) for s in services if s.url_field}
    keys = {_variable(s.key_field): _key(s, settings) for s in services if s.key_field}
    numbers = {
        _variable(name): str(getattr(settings, name))
        for name in ("provider_timeout", "provider_retries", "requests_per_minute")
    }
    return {name: value for name, value in {**texts, **keys, **numbers}.items() if value}


def _account(name: str, settings: Settings) -> "Account":
    from providers.http import Account

    service = _SERVICES[name]
    return Account(
        name=service.title,
        base_url=_base_url(service, settings),
        key=_key(service, settings) or "keyless",
        variable=_variable(service.key_field) if service.key_field else "the server's key",
        model=service.model,
        timeout=settings.provider_timeout,
        patience=Patience(settings.provider_retries, _rate_limit(name, settings.requests_per_minute)),
    )


@cache
def _rate_limit(name: str, per_minute: int) -> RateLimit:
    """One limit a provider and process, however often it is connected to."""
    return RateLimit(per_minute)


def _missing(name: str, settings: Settings) -> str | None:
    if name == "mock":
        return None
    if name == "hf_local":
        lacking = [package for package in ("torch", "transformers") if not importlib.util.find_spec(package)]
        return f"hf_local needs {' and '.join(lacking)}: install them." if lacking else None
    if name not in _SERVICES:
        return f"There is no provider {name!r}: choose one of {', '.join(NAMES)}."
    service = _SERVICES[name]
    if service.url_field and not _base_url(service, settings):
        return f"Set {_variable(service.url_field)} to the address of the {service.title} server."
    own_server = service.url_field and getattr(settings, service.url_field)
    if service.key_field and not own_server and not _key(service, settings):
        return f"Set {_variable(service.key_field)} to an API key of {service.title}."
    return None


def _base_url(service: _Service, settings: Settings) -> str:
    return (getattr(settings, service.url_field) if service.url_field else "") or service.base_url


def _key(service: _Service, settings: Settings) -> str:
    secret: SecretStr | None = getattr(settings, service.key_field) if service.key_field else None
    return secret.get_secret_value() if secret else ""


def _variable(field: str) -> str:
    return str(Settings.model_fields[field].validation_alias)
