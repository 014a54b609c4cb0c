"""The README names every file, every setting and every route, and nothing that is not there."""

import re
from pathlib import Path

from api.main import api
from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
ROOMS = ("pages", "api", "core", "providers", "storage", "jobs", "benchmarks")


def test_the_map_is_the_tree() -> None:
    files = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
        if file.name != "__init__.py"
    }
    named = set(re.findall(rf"^\| `((?:{'|'.join(ROOMS)})/[\w/]+\.py)` \|", README, re.MULTILINE))
    assert named == files


def test_every_setting_is_documented() -> None:
    documented = set(
        re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", README.split("## Configuration")[1].split("##")[0])
    )
    assert documented == {str(field.validation_alias) for field in Settings.model_fields.values()}


def test_every_route_is_documented() -> None:
    table = README.split("## REST API")[1].split("##")[0]
    documented = {
        (method, path)
        for methods, path in re.findall(r"`([A-Z, ]+) (/api/[\w/{}-]+)`", table)
        for method in methods.split(", ")
    }
    assert documented == {
        (method.upper(), "/api" + re.sub(r"{\w+}", "{id}", path))
        for path, methods in api.openapi()["paths"].items()
        for method in methods
    }


def test_what_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
