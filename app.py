"""The composition root: one process with the Streamlit pages, the REST API under /api and sign-in under /auth."""

import ctypes
import gc
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import psutil
import streamlit as st
from starlette.middleware import Middleware

from api.gate import Gate
from api.main import api
from api.sign_in import announce_first_admin, sign_in_routes
from core.settings import SettingsError, check_address
from jobs.ingest import watch
from pages._session import apologise
from storage.store import StoreError
from storage.workbench import close, workbench


def answer_at_once() -> None:
    """Switch Nagle's algorithm off on the listening socket, and so on every connection it accepts.

    asyncio does so only for sockets made with an explicit protocol, which Streamlit's is not: small answers on a
    kept-alive connection would wait 40 ms for the client's delayed acknowledgement.
    """
    for connection in psutil.Process().net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN:
            with socket.socket(fileno=os.dup(connection.fd)) as listener:
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def give_memory_back() -> None:
    """Have glibc return arrays of 4 MiB and more to the system when they are freed.

    It stops doing so once it has seen a large one go, and the app then keeps the memory of its largest computation.
    """
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(-3, 4 << 20)  # M_MMAP_THRESHOLD


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, Any]]:
    """Open the store, say where to sign in for the first time, take finished jobs in until the server stops."""
    try:
        bench = workbench()
        check_address(bench.settings.auth, st.get_option("server.address"))
    except (SettingsError, StoreError) as error:
        print(f"\nAttune cannot start. {error}\n", file=sys.stderr, flush=True)
        os._exit(2)
    announce_first_admin(bench, st.get_option("server.port"))
    answer_at_once()
    give_memory_back()
    gc.freeze()  # what the start made stays: no collection need look at it again
    with watch(bench):
        yield {}
    close()


app = st.App(
    "pages/_shell.py",
    routes=sign_in_routes(),
    middleware=[Middleware(Gate, api=api)],
    lifespan=lifespan,
    on_script_error=apologise,
)
