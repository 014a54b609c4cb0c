"""The real app in a process of its own, served over real HTTP."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parent.parent
FIRST_ADMIN = "Make the first admin: "


@dataclass(frozen=True)
class Server:
    """A running app: ``url`` without a slash at the end, its ``process``, and the file it prints to."""

    url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def first_admin(self) -> str:
        """The one-time link that the start printed, at this server's own address."""
        link = self.log.read_text().split(FIRST_ADMIN)[1].split()[0]
        return self.url + link[link.index("/auth/") :]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def start(data_dir: Path, port: int, *options: str, **env: str) -> Server:
    """Start the app without waiting for it; it prints to ``server.log`` in its data folder."""
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "server.log"
    command = [
        sys.executable,
        "-m",
        "streamlit",
        "run",
        str(ROOT / "app.py"),
        f"--server.port={port}",
        *options,
    ]
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("ATTUNE_", "DATABASE_"))}
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**clean, "ATTUNE_DATA_DIR": str(data_dir), **env},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    return Server(f"http://127.0.0.1:{port}", process, log)


@contextmanager
def serve(data_dir: Path, *options: str, seconds: float = 180, **env: str) -> Iterator[Server]:
    """The app on a free port with its store in ``data_dir``, stopped when the block ends.

    ``options`` go to ``streamlit run``; ``env`` adds environment variables. Raises AssertionError with what the app
    printed when it does not answer within ``seconds``.
    """
    server = start(data_dir, free_port(), *options, **env)
    try:
        _wait(server, seconds)
        yield server
    finally:
        server.process.terminate()
        try:
            server.process.wait(15)
        except subprocess.TimeoutExpired:
            server.process.kill()
            server.process.wait()


def _wait(server: Server, seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and server.process.poll() is None:
        try:
            if httpx.get(f"{server.url}/api/health", timeout=5).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(f"the app did not start:\n{server.log.read_text()}")
