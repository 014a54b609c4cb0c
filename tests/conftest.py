"""Fixtures that every test may ask for."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The real data beside the project; tests that need it are skipped where it is absent."""
    path = Path(os.environ.get("ATTUNE_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"real test data not found at {path}; set ATTUNE_TEST_DATA")
    return path
