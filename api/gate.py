"""The gate in front of every page, route and websocket."""

import re
from urllib.parse import urlsplit

from anyio import CapacityLimiter, to_thread
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.roles import Identity
from core.settings import is_loopback
from storage import people
from storage.workbench import workbench

COOKIE = "attune_session"
MB = 2**20
_PUBLIC = re.compile(
    r"/api/health|/_stcore/health|/auth/(sign-in|sign-out|oidc|oidc/callback|invitation/[\w-]+)", re.ASCII
)
_API_PATH = re.compile(r"/api(/[\w-]+(\.\w+)*)*/?", re.ASCII)
_SAFE = ("GET", "HEAD", "OPTIONS")
_POLICY = b"img-src 'self' data: blob:; frame-ancestors 'self'"
"""Pictures in prompts and answers may not call out, and no other site may frame a page."""
_JSON_BODY = 16 * MB
_FORM_BODY = 64 * 1024


class Gate:
    """Lets through whoever has a session cookie or an API token, as ``request.state.identity``; turns the rest away.

    With sign-in off it lets through whoever is on this machine, and leaves ``identity`` None: pages and routes ask who
    it is. What another site's page sends (by Origin or Sec-Fetch-Site) is turned away either way, and so is a change
    that rides on a cookie without saying which page it comes from. A websocket whose session ends is closed at its
    next message. Bodies are cut off where they grow too large.
    """

    def __init__(self, app: ASGIApp, api: ASGIApp) -> None:
        """``api`` answers what is under /api, without the sessions and the compression that pages need."""
        self._app = app
        self._api = api
        self._limiter = CapacityLimiter(8)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        connection = HTTPConnection(scope)
        identity, refusal = await self._judge(connection)
        if scope["type"] == "http":
            scope.setdefault("state", {})["identity"] = identity
            app = self._app
            if scope["path"].startswith("/api/"):
                app, scope = self._api, {**scope, "root_path": f"{scope.get('root_path', '')}/api"}
            await (refusal or app)(scope, _limited(connection, receive), _policed(send))
        elif refusal is None:
            scope.setdefault("state", {})["identity"] = identity
            await self._app(scope, self._watched(connection, receive, send), send)
        else:
            await receive()
            await send({"type": "websocket.close", "code": 1008, "reason": "sign in first"})

    async def _judge(self, connection: HTTPConnection) -> tuple[Identity | None, Response | None]:
        identity, refusal = await self._identify(connection)
        path = connection.scope["path"]
        if refusal is None and path.startswith("/api/") and not _API_PATH.fullmatch(path):
            return None, _refuse(404, "There is no such route: ids and routes are letters, digits, - and _.")
        return identity, refusal

    async def _identify(self, connection: HTTPConnection) -> tuple[Identity | None, Response | None]:
        path, headers = connection.scope["path"], connection.headers
        if _from_elsewhere(connection):
            return None, _refuse(403, "This request comes from another site's page.")
        if workbench().settings.auth == "off":
            if not _from_this_machine(connection):
                return None, _refuse(
                    403, "Sign-in is off, so Attune answers on this machine only. Set ATTUNE_AUTH."
                )
            return None, None
        identity = await self._who(connection)
        by_cookie = identity is not None and "authorization" not in headers
        if (by_cookie or path.startswith("/auth/")) and _changes(connection) and not _says_origin(connection):
            return None, _refuse(
                403, "The Origin header is missing. Scripts send an API token instead of a cookie."
            )
        if identity is not None or _PUBLIC.fullmatch(path):
            return identity, None
        if (
            connection.scope["type"] == "http"
            and "text/html" in headers.get("accept", "")
            and not path.startswith("/api/")
        ):
            return None, RedirectResponse("/auth/sign-in", status_code=303)
        return None, _refuse(401, "Sign in, or send an API token: Authorization: Bearer <token>.")

    async def _who(self, connection: HTTPConnection) -> Identity | None:
        kind, _, token = connection.headers.get("authorization", "").partition(" ")
        secret = token.strip() if kind.lower() == "bearer" else connection.cookies.get(COOKIE)
        if not secret:
            return None
        as_kind: people.Kind = "token" if kind.lower() == "bearer" else "session"
        return await to_thread.run_sync(people.who, workbench().store, secret, as_kind, limiter=self._limiter)

    def _watched(self, connection: HTTPConnection, receive: Receive, send: Send) -> Receive:
        async def watched() -> Message:
            message = await receive()
            closed = workbench().settings.auth != "off"
            if message["type"] == "websocket.receive" and closed and await self._who(connection) is None:
                await send({"type": "websocket.close", "code": 1008, "reason": "the session has ended"})
                return {"type": "websocket.disconnect", "code": 1008}
            return message

        return watched


def _policed(send: Send) -> Send:
    async def with_policy(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message["headers"], (b"content-security-policy", _POLICY)]
        await send(message)

    return with_policy


def _limited(connection: HTTPConnection, receive: Receive) -> Receive:
    """The body as it comes, until it is larger than its path takes: then HTTPException 413."""
    path, kind = connection.scope["path"], connection.headers.get("content-type", "")
    if path.startswith("/auth/"):
        limit = _FORM_BODY
    elif not path.startswith("/api/"):
        return receive
    elif kind.startswith("multipart/"):
        limit = workbench().settings.upload_mb * MB
    else:
        limit = _JSON_BODY
    declared = connection.headers.get("content-length", "")
    size = 0

    async def limited() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > limit or (declared.isdecimal() and int(declared[:20]) > limit):
            raise HTTPException(413, f"The body is larger than {limit:,} bytes; send it in parts.")
        return message

    return limited


def _changes(connection: HTTPConnection) -> bool:
    return connection.scope["type"] == "http" and connection.scope["method"] not in _SAFE


def _says_origin(connection: HTTPConnection) -> bool:
    """Whether Origin or Referer names this host (a foreign Origin has been turned away before)."""
    headers = connection.headers
    return "origin" in headers or _netloc(headers.get("referer", "")) == headers.get("host")


def _from_elsewhere(connection: HTTPConnection) -> bool:
    """Sent by a page of another origin: by its Origin, or (no Origin: an image, a frame) by Sec-Fetch-Site.

    Following a link from another site is not that: the browser then says that it fetches a document of its own.
    """
    headers = connection.headers
    if "origin" in headers and _netloc(headers["origin"]) != headers.get("host"):
        return True
    site, what = headers.get("sec-fetch-site", "none"), headers.get("sec-fetch-dest")
    return site in ("cross-site", "same-site") and what != "document"


def _from_this_machine(connection: HTTPConnection) -> bool:
    client = connection.client
    return is_loopback(_hostname(connection.headers.get("host", ""))) and (
        client is None or is_loopback(client.host)
    )


def _netloc(url: str) -> str | None:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return None


def _hostname(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def _refuse(status: int, message: str) -> Response:
    return JSONResponse({"detail": message}, status)
