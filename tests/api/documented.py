"""Whether an operation of the running app answers as its documentation says: Schemathesis makes the requests up."""

from hypothesis import HealthCheck, given, settings
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.serving import Server

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


def answers_as_documented(
    server: Server, operation: APIOperation, mode: GenerationMode = GenerationMode.POSITIVE
) -> None:
    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=25,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        database=None,
    )
    def answers(case: Case) -> None:
        case.call_and_validate(base_url=f"{server.url}/api", checks=CHECKS)

    answers()
