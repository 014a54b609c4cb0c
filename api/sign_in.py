"""Signing in and out in a browser: a password, a one-time link, or an OIDC provider."""

import logging
import math
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
from anyio import CapacityLimiter, to_thread
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.starlette_client import OAuth
from jinja2 import Environment, FileSystemLoader
from joserfc.errors import JoseError
from markupsafe import Markup
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from api.gate import COOKIE
from core.settings import Settings
from storage import people
from storage.people import MIN_PASSWORD, PeopleError
from storage.tables import AccountRow
from storage.workbench import Workbench, workbench

logger = logging.getLogger(__name__)
ASSETS = Path(__file__).resolve().parent.parent / "assets"
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
}
ALGORITHMS = (
    "RS256",
    "RS384",
    "RS512",
    "PS256",
    "PS384",
    "PS512",
    "ES256",
    "ES384",
    "ES512",
    "EdDSA",
    "Ed25519",
)
"""What an id_token may be signed with: the provider's own key, never a shared secret or nothing."""


def announce_first_admin(bench: Workbench, port: int) -> None:
    """Print the one-time link that makes the first admin, while there is no account."""
    if bench.settings.auth == "password" and (secret := people.first_admin_link(bench.store)):
        print(f"\nMake the first admin: http://localhost:{port}/auth/invitation/{secret}\n", flush=True)


def sign_in_routes() -> list[BaseRoute]:
    """Everything under /auth."""
    session = Middleware(
        SessionMiddleware,
        secret_key=secrets.token_urlsafe(32),
        session_cookie="attune_oidc",
        max_age=600,
        path="/auth/oidc",
    )
    return [
        Route("/auth/sign-in", _ask, methods=["GET"]),
        Route("/auth/sign-in", _sign_in, methods=["POST"]),
        Route("/auth/sign-out", _sign_out, methods=["POST"]),
        Route("/auth/invitation/{secret}", _invited, methods=["GET"]),
        Route("/auth/invitation/{secret}", _accept, methods=["POST"]),
        Route("/auth/oidc", _to_provider, middleware=[session]),
        Route("/auth/oidc/callback", _from_provider, middleware=[session]),
    ]


class Throttle:
    """Counts failures by key; after ``most`` within ``window`` seconds of the first, the key has to wait that out.

    Remembers the ``size`` keys that failed last.
    """

    def __init__(self, most: int = 5, window: float = 300, size: int = 10_000) -> None:
        self._most, self._window, self._size = most, window, size
        self._failures: OrderedDict[tuple[str, ...], tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, key: tuple[str, ...]) -> int:
        """Whole seconds until the key may try again; 0 when it may now."""
        with self._lock:
            failed, since = self._failures.get(key, (0, 0.0))
        left = since + self._window - time.monotonic()
        return math.ceil(left) if failed >= self._most and left > 0 else 0

    def failed(self, key: tuple[str, ...]) -> None:
        now = time.monotonic()
        with self._lock:
            failed, since = self._failures.pop(key, (0, now))
            if since + self._window <= now:
                failed, since = 0, now
            self._failures[key] = (failed + 1, since)
            while len(self._failures) > self._size:
                self._failures.popitem(last=False)

    def succeeded(self, key: tuple[str, ...]) -> None:
        with self._lock:
            self._failures.pop(key, None)


@dataclass(frozen=True)
class Field:
    """An input of the form."""

    name: str
    label: str
    type: str
    autocomplete: str
    value: str = ""
    hint: str = ""


_throttle = Throttle()
_hashing = CapacityLimiter(2)
"""Password checks at once: each takes 64 MB and a core for a while, which nobody may multiply from outside."""
_pages = Environment(loader=FileSystemLoader(ASSETS), autoescape=True, trim_blocks=True, lstrip_blocks=True)


def _page(title: str, status: int = 200, *, fields: Sequence[Field] = (), **rest: Any) -> HTMLResponse:
    logo = Markup((ASSETS / "logo.svg").read_text())
    html = _pages.get_template("sign_in.html").render(title=title, fields=fields, logo=logo, **rest)
    return HTMLResponse(html, status, headers=HEADERS)


async def _form(request: Request, *names: str) -> list[str]:
    form = await request.form(max_files=0, max_fields=20)
    values = [form.get(name) for name in names]
    return [value.replace("\0", "") if isinstance(value, str) else "" for value in values]


# A password -----------------------------------------------------------------------------------------------------------


def _sign_in_page(login: str = "", error: str = "", status: int = 200) -> Response:
    fields = [
        Field("login", "Login", "text", "username", login),
        Field("password", "Password", "password", "current-password"),
    ]
    return _page("Sign in", status, fields=fields, action="Sign in", error=error)


async def _ask(_: Request) -> Response:
    match workbench().settings.auth:
        case "off":
            return RedirectResponse("/", 303)
        case "oidc":
            return _page("Sign in", href="/auth/oidc", action="Continue with single sign-on")
        case _:
            return _sign_in_page()


async def _sign_in(request: Request) -> Response:
    bench = workbench()
    if bench.settings.auth != "password":
        return RedirectResponse("/auth/sign-in", 303)
    login, password = await _form(request, "login", "password")
    key = (login.strip().lower()[: people.MAX_NAME], request.client.host if request.client else "")
    if seconds := _throttle.wait(key):
        page = _sign_in_page(login, f"Too many attempts. Try again in {math.ceil(seconds / 60)} min.", 429)
        page.headers["Retry-After"] = str(seconds)
        return page
    account = await to_thread.run_sync(people.verify, bench.store, login, password[:1000], limiter=_hashing)
    if account is None:
        _throttle.failed(key)
        return _sign_in_page(login, "That login and password do not match.", 401)
    _throttle.succeeded(key)
    return await to_thread.run_sync(_enter, request, account)


def _enter(request: Request, account: AccountRow) -> Response:
    """Open a new session (the old one, if any, ends) and go to the start page."""
    bench = workbench()
    if old := request.cookies.get(COOKIE):
        people.close_session(bench.store, old)
    hours = bench.settings.session_hours
    response = RedirectResponse("/", 303, headers=HEADERS)
    response.set_cookie(
        COOKIE,
        people.open_session(bench.store, account, hours),
        max_age=hours * 3600,
        httponly=True,
        samesite="lax",
        secure=_scheme(request) == "https",
    )
    return response


def _scheme(request: Request) -> str:
    """http or https, as the browser sees it: a proxy before the app says so."""
    return "https" if request.headers.get("x-forwarded-proto") == "https" else request.url.scheme


async def _sign_out(request: Request) -> Response:
    if secret := request.cookies.get(COOKIE):
        await to_thread.run_sync(people.close_session, workbench().store, secret)
    response = RedirectResponse("/auth/sign-in", 303, headers=HEADERS)
    response.delete_cookie(COOKIE)
    return response


# A one-time link ------------------------------------------------------------------------------------------------------


def _invitation_page(
    account: AccountRow | None, login: str = "", name: str = "", error: str = ""
) -> Response:
    password = Field(
        "password", "Password", "password", "new-password", hint=f"At least {MIN_PASSWORD} characters."
    )
    status = 422 if error else 200
    if account is not None:
        text = f"You sign in as {account.login}."
        return _page(
            "Choose a password", status, text=text, fields=[password], action="Save and sign in", error=error
        )
    fields = [
        Field("login", "Login", "text", "username", login),
        Field("name", "Name", "text", "name", name, "As others see it."),
        password,
    ]
    text = "Nobody can sign in yet. You make people and give them roles afterwards."
    return _page(
        "Make the first admin", status, text=text, fields=fields, action="Make the account", error=error
    )


def _used_up() -> Response:
    return _page(
        "This link does not work", 404, text="It was used already or has expired. Ask an admin for a new one."
    )


def _invited(request: Request) -> Response:
    bench = workbench()
    works, account = people.invited(bench.store, request.path_params["secret"])
    return _invitation_page(account) if works and bench.settings.auth == "password" else _used_up()


async def _accept(request: Request) -> Response:
    login, name, password = await _form(request, "login", "name", "password")
    return await to_thread.run_sync(partial(_accepted, request, login, name, password), limiter=_hashing)


def _accepted(request: Request, login: str, name: str, password: str) -> Response:
    bench = workbench()
    secret = request.path_params["secret"]
    works, account = people.invited(bench.store, secret)
    if not works or bench.settings.auth != "password":
        return _used_up()
    try:
        return _enter(request, people.accept(bench.store, secret, password, login=login, name=name))
    except PeopleError as error:
        return _invitation_page(account, login, name, str(error))


# An OIDC provider -----------------------------------------------------------------------------------------------------


class Refused(Exception):
    """The provider's word is not good enough; the message says why."""


async def _client(settings: Settings) -> Any:
    """The provider, as it describes itself now. Raises Refused when that is another than the settings name."""
    assert settings.oidc_client_secret is not None
    client = OAuth().register(
        "oidc",
        client_id=settings.oidc_client_id,
        client_secret=settings.oidc_client_secret.get_secret_value(),
        server_metadata_url=f"{settings.oidc_issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs={"scope": "openid profile email", "code_challenge_method": "S256", "timeout": 15},
    )
    metadata = await client.load_server_metadata()
    if str(metadata.get("issuer", "")).rstrip("/") != settings.oidc_issuer.rstrip("/"):
        raise Refused(f"the provider calls itself {metadata.get('issuer')!r}, not ATTUNE_OIDC_ISSUER")
    offered = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = [name for name in offered if name in ALGORITHMS]
    return client


_FAILURES = (AuthlibBaseError, JoseError, httpx.HTTPError, Refused, ValueError, KeyError, RuntimeError)


def _failed(error: Exception) -> Response:
    logger.warning("Single sign-on failed: %s: %s", type(error).__name__, error)
    text = "The sign-in provider's answer could not be used. The server's log says why."
    return _page("Sign-in failed", 401, error=text, href="/auth/oidc", action="Try again")


async def _to_provider(request: Request) -> Response:
    settings = workbench().settings
    if settings.auth != "oidc":
        return RedirectResponse("/auth/sign-in", 303)
    back = f"{_scheme(request)}://{request.headers['host']}/auth/oidc/callback"
    try:
        response: Response = await (await _client(settings)).authorize_redirect(request, back)
        return response
    except _FAILURES as error:
        return _failed(error)


async def _from_provider(request: Request) -> Response:
    bench = workbench()
    if bench.settings.auth != "oidc":
        return RedirectResponse("/auth/sign-in", 303)
    try:
        token = await (await _client(bench.settings)).authorize_access_token(request)
        claims = token.get("userinfo") or {}
        email = claims.get("email")
        if not isinstance(email, str) or claims.get("email_verified") is False:
            raise Refused("it names no verified e-mail address (scope email)")
        name = str(claims.get("name") or email)[: people.MAX_NAME]
        admin = email.lower() in bench.settings.admin_emails
        account = await to_thread.run_sync(partial(people.enter, bench.store, email, name, admin=admin))
    except (*_FAILURES, PeopleError) as error:
        return _failed(error)
    if account is None:
        return _page("You cannot sign in", 403, text="An admin has disabled your account.")
    return await to_thread.run_sync(_enter, request, account)
