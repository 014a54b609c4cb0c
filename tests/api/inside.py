"""The gate, sign-in and the API in this process, over real HTTP, so that a test can change people meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.gate import Gate
from api.main import api
from api.sign_in import sign_in_routes
from storage.workbench import Workbench, close, workbench
from tests.serving import free_port


@contextmanager
def inside(monkeypatch: pytest.MonkeyPatch, folder: Path, **env: str) -> Iterator[tuple[str, Workbench]]:
    """Where it is served, and the workbench behind it."""
    for name, value in {"ATTUNE_DATA_DIR": str(folder), **env}.items():
        monkeypatch.setenv(name, value)
    close()
    routes = [*sign_in_routes(), WebSocketRoute("/_stcore/stream", _echo)]
    app = Starlette(routes=routes, middleware=[Middleware(Gate, api=api)])
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}", workbench()
    finally:
        server.should_exit = True
        thread.join(10)
        close()


async def _echo(websocket: WebSocket) -> None:
    await websocket.accept()
    try:
        while True:
            await websocket.send_text(await websocket.receive_text())
    except WebSocketDisconnect:
        return
