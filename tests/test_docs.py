"""The README names every file, every setting and every route, and nothing that is not there."""

import re
from pathlib import Path

from core.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
ROOMS = ("pages", "api", "core", "providers", "storage", "jobs", "benchmarks")


def test_the_map_is_the_tree() -> None:
    files = {
        str(file.relative_to(ROOT))
        for room in ROOMS
        for file in (ROOT / room).glob("*.py")
        if file.name != "__init__.py"
    }
    named = set(re.findall(rf"^\| `((?:{'|'.join(ROOMS)})/\w+\.py)` \|", README, re.MULTILINE))
    assert named == files


def test_every_setting_is_documented() -> None:
    documented = set(
        re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", README.split("## Configuration")[1].split("##")[0])
    )
    assert documented == {str(field.validation_alias) for field in Settings.model_fields.values()}


def test_what_the_readme_links_to_is_there() -> None:
    for link in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / link).exists(), link
