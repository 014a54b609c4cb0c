"""Single sign-on against a provider that speaks OpenID Connect over real HTTP, and lies on demand."""

import base64
import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OctKey, RSAKey

from storage import people
from storage.workbench import Workbench
from tests.api.inside import inside

KEY = RSAKey.generate_key(2048, {"kid": "one"}, auto_kid=False)
SECRET = "a client secret, for the test alone"
Claims = dict[str, Any]


@dataclass
class Provider:
    """``lie`` changes the claims, ``sign`` makes the id_token of them."""

    url: str = ""
    issuer: str = ""
    claims: Claims = field(default_factory=dict)
    lie: Callable[[Claims], Claims] = lambda claims: claims
    sign: Callable[[Claims], str] = lambda claims: jwt.encode({"alg": "RS256", "kid": "one"}, claims, KEY)
    asked: dict[str, str] = field(default_factory=dict)

    def metadata(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.url}/authorize",
            "token_endpoint": f"{self.url}/token",
            "jwks_uri": f"{self.url}/jwks",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
        }

    def token(self, form: dict[str, str]) -> dict[str, Any]:
        challenge = hashlib.sha256(form["code_verifier"].encode()).digest()
        assert base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == self.asked["code_challenge"]
        assert form["redirect_uri"] == self.asked["redirect_uri"]
        now = int(time.time())
        base = {
            "iss": self.issuer,
            "aud": "attune",
            "sub": "1",
            "iat": now,
            "exp": now + 60,
            "nonce": self.asked["nonce"],
        }
        token = self.sign(self.lie({**base, **self.claims}))
        return {"access_token": "x", "token_type": "Bearer", **({"id_token": token} if token else {})}


@pytest.fixture
def provider() -> Iterator[Provider]:
    it = Provider()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = urlsplit(self.path).path
            answers = {
                "/.well-known/openid-configuration": it.metadata,
                "/jwks": lambda: {"keys": [KEY.as_dict(private=False)]},
            }
            self._answer(answers[path]())

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            self._answer(it.token({name: values[0] for name, values in form.items()}))

        def _answer(self, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    it.url = it.issuer = f"http://127.0.0.1:{server.server_port}"
    it.claims = {"email": "Ada@Example.org", "email_verified": True, "name": "Ada Lovelace"}
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield it
    server.shutdown()


@pytest.fixture
def site(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, provider: Provider
) -> Iterator[tuple[str, Workbench]]:
    env = {
        "ATTUNE_AUTH": "oidc",
        "ATTUNE_OIDC_ISSUER": provider.url,
        "ATTUNE_OIDC_CLIENT_ID": "attune",
        "ATTUNE_OIDC_CLIENT_SECRET": SECRET,
        "ATTUNE_OIDC_ADMINS": "boss@example.org, ada@example.org",
    }
    with inside(monkeypatch, tmp_path, **env) as served:
        yield served


def come_back(client: httpx.Client, provider: Provider, **changed: str) -> httpx.Response:
    """Go to the provider and come back with a code."""
    there = client.get("/auth/oidc")
    provider.asked = {
        name: values[0] for name, values in parse_qs(urlsplit(there.headers["location"]).query).items()
    }
    back = {"code": "c", "state": provider.asked["state"], **changed}
    return client.get(provider.asked["redirect_uri"], params=back)


def test_signing_in(site: tuple[str, Workbench], provider: Provider) -> None:
    url, bench = site
    with httpx.Client(base_url=url) as client:
        assert 'href="/auth/oidc"' in client.get("/auth/sign-in").text
        answer = come_back(client, provider)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert provider.asked["redirect_uri"] == f"{url}/auth/oidc/callback"
        assert provider.asked["code_challenge_method"] == "S256" and "openid" in provider.asked["scope"]
        assert client.get("/api/prompts").status_code == 200
    (account,) = people.accounts(bench.store)
    assert (account.login, account.name, account.role) == ("ada@example.org", "Ada Lovelace", "admin")
    provider.claims |= {"email": "eve@example.org", "sub": "2"}
    with httpx.Client(base_url=url) as client:
        assert come_back(client, provider).status_code == 303
        assert client.get("/api/prompts").status_code == 403
    eve = people.accounts(bench.store)[1]
    assert eve.role == "annotator"
    people.change(bench.store, eve.id, "ada", disabled=True)
    with httpx.Client(base_url=url) as client:
        assert come_back(client, provider).status_code == 403


def unsigned(claims: Claims) -> str:
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()
        for part in ({"alg": "none"}, claims)
    ]
    return f"{parts[0]}.{parts[1]}."


def by_another_key(claims: Claims) -> str:
    return jwt.encode({"alg": "RS256", "kid": "one"}, claims, RSAKey.generate_key(2048))


def by_the_shared_secret(claims: Claims) -> str:
    return jwt.encode({"alg": "HS256", "kid": "one"}, claims, OctKey.import_key(SECRET))


@pytest.mark.parametrize(
    "lie",
    [
        {"nonce": "another"},
        {"iss": "http://evil.example"},
        {"aud": "somebody-else"},
        {"exp": 1},
        {"email_verified": False},
        {"email": None},
        {"email": ["ada@example.org"]},
        {"email": "a\nb"},
    ],
    ids=str,
)
def test_false_claims_are_refused(site: tuple[str, Workbench], provider: Provider, lie: Claims) -> None:
    provider.lie = lambda claims: {**claims, **lie}
    _refused(site, provider)


@pytest.mark.parametrize(
    "sign",
    [unsigned, by_another_key, by_the_shared_secret, lambda _: "", lambda _: "no.token.atall"],
    ids=["unsigned", "another key", "shared secret", "none", "garbage"],
)
def test_a_token_the_provider_did_not_sign_is_refused(
    site: tuple[str, Workbench], provider: Provider, sign: Callable[[Claims], str]
) -> None:
    provider.sign = sign
    _refused(site, provider)


@pytest.mark.parametrize(
    "changed", [{"state": "another"}, {"state": ""}, {"error": "access_denied"}, {"code": ""}], ids=str
)
def test_a_callback_we_did_not_ask_for_is_refused(
    site: tuple[str, Workbench], provider: Provider, changed: dict[str, str]
) -> None:
    if changed == {"code": ""}:
        provider.sign = lambda _: ""
    _refused(site, provider, **changed)


def _refused(site: tuple[str, Workbench], provider: Provider, **changed: str) -> None:
    url, bench = site
    with httpx.Client(base_url=url) as client:
        answer = come_back(client, provider, **changed)
        assert answer.status_code == 401 and "attune_session" not in client.cookies
    assert not people.accounts(bench.store)


def test_the_state_belongs_to_the_browser_that_asked(site: tuple[str, Workbench], provider: Provider) -> None:
    url, bench = site
    with httpx.Client(base_url=url) as mallory:
        there = mallory.get("/auth/oidc")
        state = parse_qs(urlsplit(there.headers["location"]).query)["state"][0]
    answer = httpx.get(f"{url}/auth/oidc/callback", params={"code": "c", "state": state})
    assert answer.status_code == 401 and not people.accounts(bench.store)


def test_a_provider_of_another_name_is_refused(site: tuple[str, Workbench], provider: Provider) -> None:
    provider.issuer = "http://evil.example"
    url, _ = site
    assert httpx.get(f"{url}/auth/oidc").status_code == 401


def test_passwords_are_no_way_in(site: tuple[str, Workbench]) -> None:
    url, bench = site
    _, secret = people.create(bench.store, "ada", "Ada", "admin", "test")
    headers = {"Origin": url}
    form = {"login": "ada", "password": "correct horse battery"}
    assert httpx.post(f"{url}/auth/invitation/{secret}", data=form, headers=headers).status_code == 404
    answer = httpx.post(f"{url}/auth/sign-in", data=form, headers=headers)
    assert "attune_session" not in answer.cookies
