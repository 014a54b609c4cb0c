"""Versions count as numbers, not as text."""

import pytest

from core.versions import next_minor, parse


def test_the_next_minor_version() -> None:
    assert next_minor([]) == "1.0.0"
    assert next_minor(["1.0.0"]) == "1.1.0"
    assert next_minor(["1.9.0", "1.10.3", "1.2.0"]) == "1.11.0"
    assert next_minor(["2.0.0", "1.99.0"]) == "2.1.0"


@pytest.mark.parametrize("text", ["", "1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "1.2.x", " 1.2.3", "1.2.3\n", "-1.0.0", "1.0.0-rc1"])  # fmt: skip
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="three numbers such as"):
        parse(text)
