"""Schemathesis drives every documented operation of the running app and finds no 500 and no undocumented answer."""

import pytest
import schemathesis
from schemathesis import APIOperation, GenerationMode

from api.main import api
from tests.api.documented import answers_as_documented
from tests.serving import Server

OPERATIONS = [found.ok() for found in schemathesis.openapi.from_dict(api.openapi()).get_all_operations()]
CASES = [
    pytest.param(operation, mode, id=f"{operation.label} {mode.value}")
    for operation in OPERATIONS
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    if mode is GenerationMode.POSITIVE or operation.label != "GET /health"
]


@pytest.mark.parametrize(("operation", "mode"), CASES)
def test_every_operation_answers_as_documented(
    off: Server, operation: APIOperation, mode: GenerationMode
) -> None:
    answers_as_documented(off, operation, mode)
