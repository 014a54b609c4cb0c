"""What the HTTP providers share: one request with a deadline, and the SDK's errors put into words."""

import email.utils
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

import httpx2

from core.generation import Completion, ProviderError, Sampling
from core.records import Message
from providers.base import Patience


@dataclass(frozen=True, slots=True)
class Account:
    """Where to ask and as whom: ``variable`` is the environment variable to name when the key is refused."""

    name: str
    base_url: str
    key: str = field(repr=False)
    variable: str
    model: str | None
    timeout: float
    patience: Patience


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said; ``stopped_by`` is its own word for why the answer ended."""

    text: str | None
    model: str
    input_tokens: int | None
    output_tokens: int | None
    stopped_by: str | None


class Malformed(Exception):
    """The body of the answer is not what the protocol says."""


class HttpProvider(ABC):
    """Asks through an SDK whose errors are named as OpenAI's and Anthropic's are; retries are done here.

    A model that refuses a temperature is asked without one, and remembered.
    """

    def __init__(self, account: Account, sdk: ModuleType) -> None:
        self._account = account
        self._sdk = sdk
        self._without_temperature: set[str] = set()

    @abstractmethod
    def _request(
        self, messages: Sequence[Message], settings: Sampling, model: str, temperature: float | None
    ) -> Answer:
        """One request; raises the SDK's errors or Malformed."""

    def complete(self, messages: Sequence[Message], settings: Sampling) -> Completion:
        model = settings.model or self._account.model
        if model is None:
            raise ProviderError(
                f"{self._account.name} has no default model: name one that the server offers."
            )
        temperature = None if model in self._without_temperature else settings.temperature

        def ask(temperature: float | None) -> Completion:
            return self._account.patience.ask(lambda: self._send(messages, settings, model, temperature))

        try:
            return ask(temperature)
        except ProviderError as error:
            if temperature is None or error.status != 400 or "temperature" not in str(error):
                raise
        self._without_temperature.add(model)
        return ask(None)

    def _send(
        self, messages: Sequence[Message], settings: Sampling, model: str, temperature: float | None
    ) -> Completion:
        started = time.monotonic()
        name = self._account.name
        try:
            answer = self._request(messages, settings, model, temperature)
        except (self._sdk.APIError, Malformed, ValueError) as error:
            raise explain(error, self._account, self._sdk) from None
        if answer.text and answer.text.strip():
            seconds = time.monotonic() - started
            return Completion(
                answer.text, answer.model, answer.input_tokens, answer.output_tokens, seconds, temperature
            )
        if answer.stopped_by in ("length", "max_tokens"):
            raise ProviderError(
                f"{name} spent all {settings.max_tokens} tokens before it answered: raise max tokens."
            )
        raise ProviderError(
            f"{name} gave an empty answer ({answer.stopped_by}): change the prompt or the model."
        )


def explain(error: Exception, account: Account, sdk: ModuleType) -> ProviderError:
    """An error of an SDK, or a body that cannot be read, in the words of the house and without the key."""
    if isinstance(error, sdk.APITimeoutError):
        return ProviderError(
            f"{account.name} did not answer within {account.timeout:g} s: "
            "raise ATTUNE_PROVIDER_TIMEOUT or lower max tokens.",
            retryable=True,
        )
    if isinstance(error, sdk.APIConnectionError):
        host = httpx2.URL(account.base_url).host
        return ProviderError(
            f"{account.name} cannot be reached at {host}: check the network and the base URL.",
            retryable=True,
        )
    if isinstance(error, sdk.APIStatusError):
        return _explain_status(account, error.status_code, _detail(error.body), error.response.headers)
    return ProviderError(
        f"{account.name} sent an answer that cannot be read: check that the base URL speaks its protocol.",
        retryable=True,
    )


def _explain_status(account: Account, status: int, detail: str, headers: Mapping[str, str]) -> ProviderError:
    said = detail.replace(account.key, "[key]")[:300]
    wait = _retry_after(headers)
    if status in (401, 403):
        text = f"refused the API key ({status}): check {account.variable}."
    elif status == 404:
        text = f"knows no such model or address (404): {said}"
    elif status == 429 and "quota" in said:
        return ProviderError(f"{account.name} says the quota is used up (429): {said}", status=status)
    elif status == 429:
        asked = "" if wait is None else f" and asks to wait {wait:.0f} s"
        text = f"takes no more requests now (429){asked}: lower the workers or ATTUNE_REQUESTS_PER_MINUTE."
    elif status >= 500:
        text = f"failed ({status}): try again later."
    else:
        text = f"refused the request ({status}): {said}"
    retryable = status in (408, 409, 429) or status >= 500
    return ProviderError(f"{account.name} {text}", retryable=retryable, status=status, retry_after=wait)


def http_client(timeout: float) -> httpx2.Client:
    """A client whose answers must be complete ``timeout`` seconds after the request, however slowly they drip."""

    def begin(request: httpx2.Request) -> None:
        request.extensions["until"] = time.monotonic() + timeout

    def watch(response: httpx2.Response) -> None:
        assert isinstance(response.stream, httpx2.SyncByteStream)
        response.stream = _Deadline(response.stream, response.request.extensions["until"])

    limits = httpx2.Timeout(timeout, connect=min(5.0, timeout))
    return httpx2.Client(timeout=limits, event_hooks={"request": [begin], "response": [watch]})


class _Deadline(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream, until: float) -> None:
        self._stream = stream
        self._until = until

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._stream:
            if time.monotonic() > self._until:
                raise httpx2.ReadTimeout("The answer dripped past the deadline.")
            yield chunk

    def close(self) -> None:
        self._stream.close()


def _detail(body: Any) -> str:
    """The server's own message: the body's error.message or message, else the body."""
    inner = body.get("error", body) if isinstance(body, dict) else body
    message = inner.get("message") if isinstance(inner, dict) else inner
    return str(message or "no reason given")


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from a number or an HTTP date (RFC 9110, 10.2.3)."""
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        until = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(UTC)).total_seconds())
