"""The browser that the end-to-end tests drive: found, or fetched by ``python -m tests.browser``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def find() -> str | None:
    """The path of a Chromium: ``ATTUNE_CHROMIUM``, one on the PATH, or Playwright's own."""
    named = os.environ.get("ATTUNE_CHROMIUM")
    if named:
        return named
    for name in _NAMES:
        if path := shutil.which(name):
            return path
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        own = playwright.chromium.executable_path
    return own if Path(own).exists() else None


def _fetch() -> None:
    if shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        done = subprocess.run(["apt-get", "install", "-y", "-qq", "chromium"], check=False)
        if done.returncode == 0:
            return
    subprocess.run([sys.executable, "-m", "playwright", "install", "chromium"], check=False)


if __name__ == "__main__":
    if find() is None:
        _fetch()
    path = find()
    print(f"Browser for the tests: {path or 'none; the browser tests will be skipped'}")
    if path is None and os.environ.get("CI"):
        sys.exit("CI needs a browser: install Chromium, or set ATTUNE_CHROMIUM to one.")
