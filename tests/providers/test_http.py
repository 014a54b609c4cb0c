"""The OpenAI and Anthropic providers over real HTTP, against a server on this machine that misbehaves when told to."""

import email.utils
import logging
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from core.generation import Completion, ProviderError, Sampling
from core.records import Message
from core.settings import Settings
from providers import available, connect, environment
from providers.base import Provider
from tests.providers.llm_server import LlmServer, Reply, serving

KEY = "sk-secret-0123456789abcdef"
BOTH = pytest.mark.parametrize("name", ["openai", "anthropic"])


@pytest.fixture
def server() -> Iterator[LlmServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def _no_settings_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.validation_alias), raising=False)
    monkeypatch.chdir(tmp_path)


def settings(server: LlmServer, **changes: object) -> Settings:
    values: dict[str, object] = {
        "openai_api_key": KEY,
        "openai_base_url": f"{server.url}/v1",
        "anthropic_api_key": KEY,
        "anthropic_base_url": server.url,
        "provider_retries": 2,
        "provider_timeout": 5.0,
    }
    return Settings(**(values | changes))  # type: ignore[arg-type]


def ask(provider: Provider, text: str = "Hello", **sampling: object) -> Completion:
    return provider.complete([Message("user", text)], Sampling(**sampling))  # type: ignore[arg-type]


def test_openai_request_and_answer(server: LlmServer) -> None:
    chat = [
        Message("system", "Be kind."),
        Message("user", "Hi"),
        Message("assistant", "Hello"),
        Message("user", "Bye"),
    ]
    sampling = Sampling("m1", 0.3, 99, "Be brief.", 7)
    completion = connect("openai", settings(server)).complete(chat, sampling)
    assert (completion.text, completion.model) == ("You said: Bye", "m1")
    assert (completion.input_tokens, completion.output_tokens, completion.temperature) == (11, 7, 0.3)
    (received,) = server.received
    assert received.path == "/v1/chat/completions"
    assert received.headers["authorization"] == f"Bearer {KEY}"
    assert received.body == {
        "model": "m1",
        "messages": [
            {"role": "system", "content": "Be brief.\n\nBe kind."},
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": "Hello"},
            {"role": "user", "content": "Bye"},
        ],
        "max_tokens": 99,
        "temperature": 0.3,
        "seed": 7,
    }


def test_anthropic_request_and_answer(server: LlmServer) -> None:
    sampling = Sampling("claude-x", 0.3, 99, "Be brief.", 7)
    completion = connect("anthropic", settings(server)).complete([Message("user", "Hi")], sampling)
    assert (completion.text, completion.model) == ("You said: Hi", "claude-x")
    assert (completion.input_tokens, completion.output_tokens, completion.temperature) == (11, 7, 0.3)
    (received,) = server.received
    assert received.path == "/v1/messages"
    assert KEY in received.headers["authorization"]
    assert received.headers["anthropic-version"] == "2023-06-01"
    assert received.body == {
        "model": "claude-x",
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 99,
        "system": "Be brief.",
        "temperature": 0.3,
    }


def test_anthropic_without_a_temperature_speaks_the_newest_version(server: LlmServer) -> None:
    ask(connect("anthropic", settings(server)), model="claude-x")
    assert server.received[0].headers["anthropic-version"] > "2023-06-01"
    assert "temperature" not in server.received[0].body


@BOTH
def test_a_model_that_takes_no_temperature_is_asked_without_one_and_remembered(
    server: LlmServer, name: str
) -> None:
    def refuse(received: object) -> Reply:
        body = server.received[-1].body
        if "temperature" in body:
            return Reply("`temperature` is deprecated for this model.", 400)
        return Reply("Fine.")

    server.otherwise = refuse
    provider = connect(name, settings(server))
    assert ask(provider, model="m", temperature=0.2).temperature is None
    assert ask(provider, model="m", temperature=0.2).text == "Fine."
    assert ["temperature" in r.body for r in server.received] == [True, False, False]


@BOTH
def test_a_stalled_server_is_asked_again_and_then_given_up(server: LlmServer, name: str) -> None:
    server.otherwise = lambda _: Reply(pause=300)
    provider = connect(name, settings(server, provider_timeout=0.3, provider_retries=1))
    started = time.monotonic()
    with pytest.raises(
        ProviderError, match=r"did not answer within 0\.3 s.*ATTUNE_PROVIDER_TIMEOUT"
    ) as caught:
        ask(provider)
    assert caught.value.retryable
    assert len(server.received) == 2
    assert time.monotonic() - started < 60


@BOTH
def test_a_stream_that_drips_past_the_deadline_is_cut_off(server: LlmServer, name: str) -> None:
    server.otherwise = lambda _: Reply("long " * 50, pause=0.2, pieces=800)
    provider = connect(name, settings(server, provider_timeout=0.6, provider_retries=0))
    started = time.monotonic()
    with pytest.raises(ProviderError, match="did not answer within"):
        ask(provider)
    assert time.monotonic() - started < 30


@BOTH
def test_a_slow_stream_within_the_deadline_is_read_whole(server: LlmServer, name: str) -> None:
    server.otherwise = lambda _: Reply("long " * 50, pause=0.02, pieces=20)
    assert ask(connect(name, settings(server))).text == "long " * 50


@BOTH
def test_retry_after_is_waited_for(server: LlmServer, name: str) -> None:
    server.script = [Reply("slow down", 429, {"retry-after": "1.3"})]
    assert ask(connect(name, settings(server))).text == "You said: Hello"
    first, second = server.received
    assert second.at - first.at >= 1.3


def test_retry_after_may_be_a_date(server: LlmServer) -> None:
    date = email.utils.formatdate(time.time() + 2, usegmt=True)
    server.script = [Reply("slow down", 503, {"retry-after": date})]
    ask(connect("openai", settings(server)))
    first, second = server.received
    assert second.at - first.at >= 0.9


@BOTH
def test_nobody_waits_an_hour(server: LlmServer, name: str) -> None:
    server.otherwise = lambda _: Reply("slow down", 429, {"retry-after": "3600"})
    started = time.monotonic()
    with pytest.raises(ProviderError, match=r"asks to wait 3600 s.*ATTUNE_REQUESTS_PER_MINUTE") as caught:
        ask(connect(name, settings(server)))
    assert caught.value.status == 429
    assert len(server.received) == 1
    assert time.monotonic() - started < 60


@BOTH
def test_a_500_is_asked_again_with_growing_waits(server: LlmServer, name: str) -> None:
    server.script = [Reply("oops", 500), Reply("oops", 500)]
    assert ask(connect(name, settings(server))).text == "You said: Hello"
    first, second, third = server.received
    assert 0.375 <= second.at - first.at <= 0.8
    assert 0.75 <= third.at - second.at <= 1.5


@BOTH
def test_500_for_ever(server: LlmServer, name: str) -> None:
    server.otherwise = lambda _: Reply("oops", 500)
    with pytest.raises(ProviderError, match=r"failed \(500\): try again later") as caught:
        ask(connect(name, settings(server, provider_retries=1)))
    assert caught.value.status == 500
    assert len(server.received) == 2


@BOTH
@pytest.mark.parametrize(
    "raw",
    [b'{"choices": [', b"<html>Gateway</html>", b"[]", b"{}", b"\xff\xfe\x00", b"null", b'{"content": 3}'],
)
def test_a_malformed_body_is_asked_for_again(server: LlmServer, name: str, raw: bytes) -> None:
    server.script = [Reply(raw=raw)]
    assert ask(connect(name, settings(server))).text == "You said: Hello"
    assert len(server.received) == 2


@BOTH
@pytest.mark.parametrize("kind", ["application/json", "text/html"])
def test_malformed_for_ever(server: LlmServer, name: str, kind: str) -> None:
    server.otherwise = lambda _: Reply(raw=b"<html>Gateway</html>", headers={"content-type": kind})
    with pytest.raises(ProviderError, match="cannot be read: check that the base URL speaks its protocol"):
        ask(connect(name, settings(server, provider_retries=0)))


@BOTH
@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_named_by_its_variable_and_shown_nowhere(
    server: LlmServer, name: str, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.otherwise = lambda _: Reply(f"Incorrect API key provided: {KEY}", status)
    with pytest.raises(ProviderError, match=f"{name.upper()}_API_KEY") as caught:
        ask(connect(name, settings(server)))
    assert len(server.received) == 1
    assert KEY not in str(caught.value)
    assert KEY not in repr(caught.value.__cause__)
    assert KEY not in caplog.text


@BOTH
def test_a_key_that_the_server_repeats_is_taken_out(server: LlmServer, name: str) -> None:
    server.otherwise = lambda _: Reply(f"bad request from {KEY}", 400)
    with pytest.raises(ProviderError, match=r"refused the request \(400\): bad request from \[key\]"):
        ask(connect(name, settings(server)))
    assert len(server.received) == 1


def test_an_unknown_model(server: LlmServer) -> None:
    server.otherwise = lambda _: Reply("The model m9 does not exist", 404)
    with pytest.raises(ProviderError, match=r"knows no such model or address \(404\): The model m9"):
        ask(connect("openai", settings(server)), model="m9")


def test_a_used_up_quota_is_not_waited_for(server: LlmServer) -> None:
    server.otherwise = lambda _: Reply("You exceeded your current quota", 429)
    with pytest.raises(ProviderError, match="quota is used up"):
        ask(connect("openai", settings(server)))
    assert len(server.received) == 1


def test_empty_choices(server: LlmServer) -> None:
    server.otherwise = lambda _: Reply(choices=0)
    with pytest.raises(ProviderError, match="cannot be read"):
        ask(connect("openai", settings(server, provider_retries=0)))


@BOTH
@pytest.mark.parametrize("text", [None, "", "  \n"])
def test_an_empty_answer(server: LlmServer, name: str, text: str | None) -> None:
    server.otherwise = lambda _: Reply(text)
    with pytest.raises(ProviderError, match="gave an empty answer"):
        ask(connect(name, settings(server)))


@pytest.mark.parametrize(("name", "word"), [("openai", "length"), ("anthropic", "max_tokens")])
def test_all_tokens_spent_on_thinking(server: LlmServer, name: str, word: str) -> None:
    server.otherwise = lambda _: Reply(None, stopped_by=word)
    with pytest.raises(ProviderError, match="spent all 50 tokens before it answered: raise max tokens"):
        ask(connect(name, settings(server)), max_tokens=50)


@BOTH
def test_nobody_listens(server: LlmServer, name: str) -> None:
    nowhere = settings(
        server,
        openai_base_url="http://127.0.0.1:9/v1",
        anthropic_base_url="http://127.0.0.1:9",
        provider_retries=0,
    )
    with pytest.raises(ProviderError, match=r"cannot be reached at 127\.0\.0\.1: check the network"):
        ask(connect(name, nowhere))


def test_requests_per_minute_hold_over_connections(server: LlmServer) -> None:
    limited = settings(server, requests_per_minute=240)
    for _ in range(4):
        ask(connect("openai", limited))
    times = [r.at for r in server.received]
    assert all(later - earlier > 0.2 for earlier, later in pairwise(times))


@pytest.mark.parametrize("name", ["vllm", "ollama"])
def test_servers_of_ones_own_need_an_address_and_a_model_but_no_key(server: LlmServer, name: str) -> None:
    variable = f"{name.upper()}_BASE_URL"
    with pytest.raises(ProviderError, match=f"Set {variable}"):
        connect(name, Settings())
    provider = connect(name, Settings(**{f"{name}_base_url": f"{server.url}/v1"}))  # type: ignore[arg-type]
    with pytest.raises(ProviderError, match="name one"):
        ask(provider)
    assert ask(provider, model="mine").model == "mine"


@pytest.mark.parametrize("name", ["openai", "anthropic", "groq", "deepseek", "together"])
def test_a_missing_key_is_asked_for_by_its_variable(name: str) -> None:
    with pytest.raises(ProviderError, match=f"Set {name.upper()}_API_KEY"):
        connect(name, Settings())


def test_available_says_why_not(server: LlmServer) -> None:
    found = available(settings(server))
    assert found["mock"] is found["openai"] is found["anthropic"] is found["hf_local"] is None
    assert found["groq"] == "Set GROQ_API_KEY to an API key of Groq."
    assert KEY not in repr(found)
    with pytest.raises(ProviderError, match="no provider 'gpt': choose one of mock, openai"):
        connect("gpt", settings(server))


@pytest.mark.parametrize("alias", ["default", "fast", "mixtral", "gemma"])
def test_groq_aliases(server: LlmServer, alias: str) -> None:
    from providers import _ALIASES
    from providers.base import Patience, RateLimit
    from providers.http import Account
    from providers.openai import OpenAICompatible

    account = Account(
        "Groq", f"{server.url}/v1", KEY, "GROQ_API_KEY", "default", 5, Patience(0, RateLimit(0))
    )
    completion = ask(OpenAICompatible(account, _ALIASES["groq"]), model=alias)
    assert completion.model == server.received[0].body["model"] == _ALIASES["groq"][alias]
    assert KEY not in repr(account)


def test_the_environment_for_a_worker_connects_the_same_way(server: LlmServer) -> None:
    given = environment(settings(server))
    again = Settings(**{_field(name): value for name, value in given.items()})  # type: ignore[arg-type]
    ask(connect("openai", again))
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"
    assert (again.provider_timeout, again.provider_retries) == (5.0, 2)


def _field(variable: str) -> str:
    return next(name for name, field in Settings.model_fields.items() if field.validation_alias == variable)
