"""Who gets in: roles for every route, and nothing without a session or a token."""

import http.client
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from core.roles import ROLES
from tests.api.conftest import PASSWORD, Team
from tests.serving import Server, free_port, start

EMPTY_FILE = {"file": ("x.csv", b"prompt,response_a,response_b\n")}
ROUTES: dict[tuple[str, str], tuple[str, dict[str, object]]] = {
    ("GET", "/prompts"): ("researcher", {}),
    ("POST", "/prompts"): ("lead", {"json": {}}),
    ("POST", "/prompts/upload"): ("lead", {"files": EMPTY_FILE}),
    ("POST", "/generate"): ("lead", {"json": {}}),
    ("GET", "/pairs"): ("researcher", {}),
    ("GET", "/pairs/{pair_id}"): ("researcher", {}),
    ("POST", "/pairs/upload"): ("lead", {"files": EMPTY_FILE, "data": {"format": "csv"}}),
    ("GET", "/annotations/next"): ("annotator", {}),
    ("GET", "/annotations"): ("annotator", {}),
    ("POST", "/annotations"): ("annotator", {"json": {"pair_id": "x_none", "choice": "a"}}),
    ("PATCH", "/annotations/{annotation_id}"): ("annotator", {"json": {"choice": "a"}}),
    ("DELETE", "/annotations/{annotation_id}"): ("annotator", {}),
    ("GET", "/adjudications/next"): ("lead", {}),
    ("GET", "/adjudications"): ("researcher", {}),
    ("POST", "/adjudications"): (
        "lead",
        {"json": {"pair_id": "x_none", "lease_id": "l_none", "choice": "a"}},
    ),
    ("DELETE", "/adjudications/{resolution_id}"): ("lead", {}),
    ("GET", "/metrics"): ("researcher", {}),
    ("GET", "/metrics/ranking"): ("researcher", {}),
    ("GET", "/metrics/timeline"): ("researcher", {}),
    ("GET", "/metrics/bias"): ("researcher", {}),
    ("GET", "/metrics/annotators"): ("researcher", {}),
    ("GET", "/export/rlhf"): ("researcher", {}),
    ("GET", "/export/csv"): ("researcher", {}),
    ("POST", "/score"): ("researcher", {"json": {"items": [{"prompt": "x", "response": "y"}]}}),
    ("POST", "/rerank"): ("researcher", {"json": {"prompt": "x", "candidates": ["y", "z"]}}),
    ("POST", "/predict"): (
        "researcher",
        {"json": {"pairs": [{"prompt": "x", "response_a": "y", "response_b": "z"}]}},
    ),
    ("POST", "/jobs"): ("lead", {"json": {"kind": "train-reward", "name": "x"}}),
    ("GET", "/jobs"): ("researcher", {}),
    ("GET", "/jobs/{job_id}"): ("researcher", {}),
    ("GET", "/jobs/{job_id}/log"): ("researcher", {}),
    ("POST", "/jobs/{job_id}/cancel"): ("lead", {}),
    ("POST", "/jobs/{job_id}/resume"): ("lead", {}),
    ("POST", "/fine-tuning/estimate"): ("researcher", {"json": {}}),
    ("POST", "/fine-tuning/jobs"): ("lead", {"json": {}}),
    ("GET", "/fine-tuning/jobs"): ("researcher", {}),
    ("GET", "/fine-tuning/jobs/{job_id}"): ("researcher", {}),
    ("POST", "/fine-tuning/jobs/{job_id}/cancel"): ("lead", {}),
    ("GET", "/models"): ("researcher", {}),
    ("GET", "/models/{model_id}"): ("researcher", {}),
    ("GET", "/models/{model_id}/report"): ("researcher", {}),
    ("GET", "/models/{model_id}/production"): ("researcher", {}),
    ("GET", "/drift/{job_id}/report"): ("researcher", {}),
    ("POST", "/models/{model_id}/deploy"): ("lead", {}),
    ("POST", "/models/{model_id}/rollback"): ("lead", {}),
    ("POST", "/models/{model_id}/archive"): ("lead", {}),
    ("POST", "/models/{model_id}/restore"): ("lead", {}),
    ("POST", "/models/{model_id}/aliases"): ("lead", {"json": {"alias": "champion"}}),
    ("DELETE", "/models/{model_id}/aliases"): ("lead", {"params": {"alias": "champion"}}),
    ("POST", "/models/ab-test"): ("lead", {"json": {}}),
    ("GET", "/experiments"): ("researcher", {}),
    ("GET", "/experiments/{experiment_id}"): ("researcher", {}),
    ("GET", "/experiments/{experiment_id}/assign"): ("researcher", {"params": {"unit": "u"}}),
    ("POST", "/experiments/{experiment_id}/outcomes"): (
        "researcher",
        {"json": {"outcomes": [{"unit": "u", "metric": "win", "value": 1}]}},
    ),
    ("POST", "/experiments/{experiment_id}/pause"): ("lead", {}),
    ("POST", "/experiments/{experiment_id}/resume"): ("lead", {}),
    ("POST", "/experiments/{experiment_id}/extend"): ("lead", {"json": {"planned": 500}}),
    ("POST", "/experiments/{experiment_id}/end"): ("lead", {}),
    ("POST", "/experiments/{experiment_id}/deploy"): ("lead", {"json": {}}),
}


def test_every_route_is_in_the_table_of_roles(team: Team) -> None:
    schema = httpx.get(f"{team.server.url}/api/openapi.json", headers=team.headers("annotator")).json()
    documented = {(method.upper(), path) for path, methods in schema["paths"].items() for method in methods}
    assert documented == ROUTES.keys() | {("GET", "/health")}


@pytest.mark.parametrize("role", [None, *ROLES])
@pytest.mark.parametrize("route", ROUTES, ids=" ".join)
def test_each_route_for_each_role(team: Team, route: tuple[str, str], role: str | None) -> None:
    needed, request = ROUTES[route]
    method, path = route
    ids = ("pair_id", "annotation_id", "resolution_id", "job_id", "model_id", "experiment_id")
    nobody = dict.fromkeys(ids, "x_none")
    url = f"{team.server.url}/api{path.format(**nobody)}"
    answer = httpx.request(method, url, headers=team.headers(role), **request)  # type: ignore[arg-type]
    assert answer.is_success or "detail" in answer.json()
    if role is None:
        assert answer.status_code == 401
    elif ROLES.index(role) < ROLES.index(needed):  # type: ignore[arg-type]
        assert answer.status_code == 403 and f"the role {needed}" in answer.json()["detail"]
    else:
        assert answer.status_code not in (401, 403)


@pytest.mark.parametrize(
    "path",
    [
        "/", "/overview", "/static/js/index.js", "/favicon.png", "/media/abc.png", "/component/x/index.html",
        "/app/static/x.txt", "/oauth2callback", "/auth/login", "/auth/logout", "/auth/", "/auth/invitation/",
        "/_stcore/host-config", "/_stcore/metrics", "/_stcore/script-health-check", "/_stcore/upload_file/s/f",
        "/_stcore/agent/openapi.json", "/_stcore/bidi-components/x", "/api", "/api/", "/api/docs", "/api/openapi.json",
        "/api/static-offline-docs/swagger-ui.css", "//api/health", "/api//health", "/api/health/", "/api/health/../prompts",
        "/auth/../api/prompts", "/auth/sign-in/../../api/prompts", "/auth/sign-in%2f..%2f..%2fapi/prompts",
        "/auth/invitation/x/../../../api/prompts", "/%61pi/prompts", "/API/health", "/api/health;/../prompts",
        "/auth/sign-in\\..\\..\\api", "/_stcore/health/../../api/prompts",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE"])
def test_closed_without_a_session(team: Team, path: str, method: str) -> None:
    host = urlsplit(team.server.url)
    connection = http.client.HTTPConnection(str(host.hostname), host.port, timeout=20)
    connection.putrequest(method, path, skip_accept_encoding=True)
    connection.putheader("Origin", team.server.url)
    connection.putheader("Content-Length", "0")
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 401
    assert "Sign in" in json.loads(answer.read())["detail"]


def test_what_is_open(team: Team) -> None:
    for path, status in {"/api/health": 200, "/_stcore/health": 200, "/auth/sign-in": 200}.items():
        assert httpx.get(team.server.url + path).status_code == status


def test_a_browser_is_led_to_the_sign_in_page(team: Team) -> None:
    answer = httpx.get(f"{team.server.url}/overview?next=//evil.example", headers={"Accept": "text/html"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/auth/sign-in")


@pytest.mark.parametrize("said", ["Bearer", "Bearer x", "Bearer é", "Basic eDp4", f"Bearer {'a' * 5000}"])
def test_a_wrong_token_is_no_token(team: Team, said: str) -> None:
    answer = httpx.get(f"{team.server.url}/api/prompts", headers={b"Authorization": said.encode()})
    assert answer.status_code == 401


def test_a_token_is_no_session_and_a_session_no_token(team: Team) -> None:
    url = f"{team.server.url}/api/prompts"
    assert httpx.get(url, cookies={"attune_session": team.tokens["admin"]}).status_code == 401
    session = _signed_in(team, "admin")
    assert httpx.get(url, cookies={"attune_session": session}).status_code == 200
    assert httpx.get(url, headers={"Authorization": f"Bearer {session}"}).status_code == 401


def _signed_in(team: Team, login: str) -> str:
    answer = httpx.post(
        f"{team.server.url}/auth/sign-in",
        data={"login": login, "password": PASSWORD},
        headers={"Origin": team.server.url},
    )
    return answer.cookies["attune_session"]


def test_the_websocket_is_refused_before_it_opens(team: Team) -> None:
    url = team.server.url.replace("http", "ws") + "/_stcore/stream"
    for headers in ({}, {"Cookie": "attune_session=wrong"}, {"Authorization": "Bearer wrong"}):
        with pytest.raises(InvalidStatus) as refusal:
            connect(url, origin=team.server.url, additional_headers=headers)  # type: ignore[arg-type]
        assert refusal.value.response.status_code == 403
    session = {"Cookie": f"attune_session={_signed_in(team, 'annotator')}"}
    with connect(url, origin=team.server.url, additional_headers=session):
        pass
    with pytest.raises(InvalidStatus):
        connect(url, origin="http://evil.example", additional_headers=session)  # type: ignore[arg-type]


def test_a_cookie_changes_nothing_unless_the_page_is_ours(team: Team) -> None:
    url, session = f"{team.server.url}/api/prompts", {"attune_session": _signed_in(team, "lead")}
    tries = [({}, 403), ({"Origin": "null"}, 403), ({"Origin": "http://evil.example"}, 403),
             ({"Referer": "http://evil.example/x"}, 403), ({"Origin": "http://[bad"}, 403),
             ({"Origin": team.server.url}, 201), ({"Referer": f"{team.server.url}/prompts"}, 200)]  # fmt: skip
    for headers, status in tries:
        assert (
            httpx.post(url, json={"text": "Who asks?"}, cookies=session, headers=headers).status_code
            == status
        )


def test_an_annotator_is_nobody_else(team: Team) -> None:
    url = f"{team.server.url}/api/annotations"
    headers = team.headers("annotator")
    assert httpx.get(f"{url}/next?annotator=Lead", headers=headers).status_code == 403
    assert httpx.get(f"{url}/next?annotator=Annotator", headers=headers).status_code == 200
    assert httpx.get(f"{url}?annotator_id=u_other", headers=headers).status_code == 403
    new = {"pair_id": "x", "choice": "a", "annotator": "Lead"}
    assert httpx.post(url, json=new, headers=headers).status_code == 403


# Sign-in off ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:1"}, 200),
        ({"Host": "127.0.0.1"}, 200),
        ({"Host": "[::1]:8501"}, 200),
        ({"Host": "attune.example"}, 403),
        ({"Host": "127.0.0.1.evil.example"}, 403),
        ({"Host": "[bad"}, 403),
        ({"Host": "10.0.0.1"}, 403),
        ({"X-Forwarded-For": "203.0.113.7"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost:3000"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "image"}, 403),
        ({"Sec-Fetch-Site": "same-site", "Sec-Fetch-Dest": "iframe"}, 403),
        ({"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "document"}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}, 200),
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/prompts"])
def test_sign_in_off_serves_this_machine_only(
    off: Server, headers: dict[str, str], status: int, path: str
) -> None:
    assert httpx.get(off.url + path, headers=headers).status_code == status


def test_sign_in_off_refuses_a_foreign_websocket(off: Server) -> None:
    url = off.url.replace("http", "ws") + "/_stcore/stream"
    with connect(url, origin=off.url):  # type: ignore[arg-type]
        pass
    with pytest.raises(InvalidStatus):
        connect(url, origin="http://evil.example")  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_sign_in_off_does_not_start_beyond_loopback(tmp_path: Path, address: str) -> None:
    server = start(tmp_path, free_port(), f"--server.address={address}")
    assert server.process.wait(60) == 2
    assert f"the server address is {address}. Set ATTUNE_AUTH=password" in server.log.read_text()


def test_a_slow_client_holds_nobody_up(off: Server) -> None:
    host = urlsplit(off.url)
    with socket.create_connection((host.hostname, host.port)) as slow:
        slow.sendall(b"POST /api/prompts HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                     b"Content-Length: 1000\r\n\r\n{")  # fmt: skip
        assert httpx.get(f"{off.url}/api/prompts", timeout=60).status_code == 200


@pytest.mark.parametrize("path", ["/", "/api/health", "/api/prompts", "/nowhere"])
def test_no_picture_is_loaded_from_elsewhere(team: Team, path: str) -> None:
    policy = httpx.get(f"{team.server.url}{path}").headers["content-security-policy"]
    assert "img-src 'self' data: blob:" in policy
