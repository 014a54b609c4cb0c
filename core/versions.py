"""Versions of models: three numbers, major.minor.patch (semver.org, without pre-releases)."""

import re
from collections.abc import Iterable

FIRST = "1.0.0"
_FORM = re.compile(r"(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})")


def parse(version: str) -> tuple[int, int, int]:
    """The three numbers, which order versions. Raises ValueError for anything else."""
    found = _FORM.fullmatch(version)
    if found is None:
        raise ValueError(f"{version!r} is not a version; it must be three numbers such as 1.2.0")
    major, minor, patch = map(int, found.groups())
    return major, minor, patch


def next_minor(versions: Iterable[str]) -> str:
    """The minor version after the latest; 1.0.0 where there is none."""
    latest = max(map(parse, versions), default=None)
    return FIRST if latest is None else f"{latest[0]}.{latest[1] + 1}.0"
