"""Signing in with a password, and what ends a session."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from api.sign_in import Throttle
from storage import people
from storage.workbench import Workbench
from tests.api.conftest import PASSWORD, Team, account
from tests.api.inside import inside
from tests.serving import serve

Site = tuple[str, Workbench]


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Site]:
    with inside(monkeypatch, tmp_path, ATTUNE_AUTH="password") as served:
        yield served


def browser(url: str, **headers: str) -> httpx.Client:
    return httpx.Client(base_url=url, headers={"Origin": url, **headers})


def sign_in(url: str, login: str, password: str = PASSWORD) -> httpx.Response:
    with browser(url) as client:
        return client.post("/auth/sign-in", data={"login": login, "password": password})


def test_the_first_admin_comes_by_a_link_that_works_once(tmp_path: Path) -> None:
    with serve(tmp_path, ATTUNE_AUTH="password") as server, browser(server.url) as client:
        link = server.first_admin
        assert "Make the first admin" in client.get(link).text
        form = {"login": " Ada ", "name": "Ada <b>Lovelace</b>", "password": PASSWORD}
        for wrong in ({**form, "password": "short"}, {**form, "login": ""}, {**form, "login": "a\nb"}, {}):
            answer = client.post(link, data=wrong)
            assert answer.status_code == 422 and 'role="alert"' in answer.text
        assert client.post(link + "x", data=form).status_code == 404
        answer = client.post(link, data=form)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        assert client.get("/api/prompts").status_code == 200
        assert client.get(link).status_code == client.post(link, data=form).status_code == 404
        assert sign_in(server.url, "ADA").status_code == 303
    with serve(tmp_path, ATTUNE_AUTH="password") as server:
        assert "Make the first admin" not in server.log.read_text()
        assert sign_in(server.url, "ada").status_code == 303


def test_a_restart_makes_a_new_link_and_ends_the_old_one(tmp_path: Path) -> None:
    with serve(tmp_path, ATTUNE_AUTH="password") as server:
        old = server.first_admin.rpartition("/")[2]
    with serve(tmp_path, ATTUNE_AUTH="password") as server:
        assert httpx.get(f"{server.url}/auth/invitation/{old}").status_code == 404
        assert httpx.get(server.first_admin).status_code == 200


def test_two_who_use_the_link_at_once_make_one_admin(site: Site) -> None:
    url, bench = site
    secret = people.first_admin_link(bench.store)
    statuses: list[int] = []

    def use(login: str) -> None:
        with browser(url) as client:
            form = {"login": login, "name": login, "password": PASSWORD}
            statuses.append(client.post(f"/auth/invitation/{secret}", data=form).status_code)

    threads = [threading.Thread(target=use, args=(f"admin{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(303) == 1 and len(people.accounts(bench.store)) == 1


def test_the_cookie(site: Site) -> None:
    url, bench = site
    account(bench.store, "lead")
    cookie = sign_in(url, "lead").headers["set-cookie"]
    assert {"HttpOnly", "SameSite=lax", "Path=/"} <= set(cookie.split("; ")) and "Secure" not in cookie
    with browser(url, **{"X-Forwarded-Proto": "https"}) as client:
        answer = client.post("/auth/sign-in", data={"login": "lead", "password": PASSWORD})
    assert "Secure" in answer.headers["set-cookie"].split("; ")


def test_each_sign_in_is_a_new_session_and_ends_the_browsers_old_one(site: Site) -> None:
    url, bench = site
    account(bench.store, "lead")
    with browser(url) as client:
        secrets = []
        for _ in range(2):
            client.post("/auth/sign-in", data={"login": "lead", "password": PASSWORD})
            secrets.append(client.cookies["attune_session"])
        assert client.get("/api/prompts").status_code == 200
        old, new = secrets
        assert old != new and people.who(bench.store, old, "session") is None
        assert client.post("/auth/sign-out").headers["location"] == "/auth/sign-in"
        assert "attune_session" not in client.cookies
        assert people.who(bench.store, new, "session") is None
        assert client.get("/api/prompts").status_code == 401


def test_a_fixed_session_id_is_not_taken_over(site: Site) -> None:
    url, bench = site
    account(bench.store, "lead")
    with browser(url) as client:
        client.cookies.set("attune_session", "chosen-by-somebody-else")
        answer = client.post("/auth/sign-in", data={"login": "lead", "password": PASSWORD})
    assert answer.cookies["attune_session"] != "chosen-by-somebody-else"


def test_a_disabled_account_and_a_revoked_token_end_at_once(site: Site) -> None:
    url, bench = site
    account(bench.store, "admin")
    lead = account(bench.store, "lead")
    token = people.create_token(bench.store, lead.id, "script", "admin")
    session = sign_in(url, "lead").cookies["attune_session"]
    ways: list[dict[str, str]] = [
        {"Authorization": f"Bearer {token}"},
        {"Cookie": f"attune_session={session}"},
    ]

    def status(way: dict[str, str]) -> int:
        return httpx.get(f"{url}/api/prompts", headers=way).status_code

    assert [status(way) for way in ways] == [200, 200]
    people.change(bench.store, lead.id, "admin", disabled=True)
    assert [status(way) for way in ways] == [401, 401]
    assert sign_in(url, "lead").status_code == 401
    people.change(bench.store, lead.id, "admin", disabled=False)
    assert [status(way) for way in ways] == [200, 401]
    people.change(bench.store, lead.id, "admin", role="annotator")
    assert status(ways[0]) == 403
    people.revoke(bench.store, people.tokens(bench.store)[0][0].id, "admin")
    assert status(ways[0]) == 401


def test_an_open_websocket_closes_when_the_session_ends(site: Site) -> None:
    url, bench = site
    account(bench.store, "lead")
    session = sign_in(url, "lead").cookies["attune_session"]
    stream = url.replace("http", "ws") + "/_stcore/stream"
    with connect(stream, origin=url, additional_headers={"Cookie": f"attune_session={session}"}) as socket:  # type: ignore[arg-type]
        socket.send("hello")
        assert socket.recv() == "hello"
        people.close_session(bench.store, session)
        socket.send("still here?")
        with pytest.raises(ConnectionClosed):
            socket.recv()


def test_an_invitation_sets_a_password(site: Site) -> None:
    url, bench = site
    account(bench.store, "admin")
    made, secret = people.create(bench.store, "grace", "Grace", "annotator", "admin")
    link = f"{url}/auth/invitation/{secret}"
    with browser(url) as client:
        assert "You sign in as grace" in client.get(link).text
        assert client.post(link, data={"password": "too short"}).status_code == 422
        assert client.post(link, data={"login": "mallory", "password": PASSWORD}).status_code == 303
        assert client.get(link).status_code == 404
    assert {a.login for a in people.accounts(bench.store)} == {"admin", "grace"}
    again = people.invite_again(bench.store, made.id, "admin")
    with browser(url) as client:
        assert (
            client.post(f"/auth/invitation/{again}", data={"password": "another password"}).status_code == 303
        )
    assert sign_in(url, "grace").status_code == 401
    assert sign_in(url, "grace", "another password").status_code == 303


def test_guessing_is_slowed_down(team: Team) -> None:
    url = team.server.url
    assert [sign_in(url, "researcher", "wrong").status_code for _ in range(5)] == [401] * 5
    blocked = sign_in(url, "Researcher ", PASSWORD)
    assert blocked.status_code == 429 and 0 < int(blocked.headers["retry-after"]) <= 300
    assert sign_in(url, "admin").status_code == 303


def test_the_throttle_forgets() -> None:
    throttle = Throttle(most=2, window=0.2, size=3)
    for key in "aabcd":
        throttle.failed((key,))
    assert throttle.wait(("a",)) == 0, "only the three keys that failed last are kept"
    throttle.failed(("d",))
    assert throttle.wait(("d",)) == 1
    threading.Event().wait(0.25)
    assert throttle.wait(("d",)) == 0
    throttle.failed(("d",))
    assert throttle.wait(("d",)) == 0, "a new window counts from one"


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"login": "lead"},
        {"login": "lead\0", "password": "\0"},
        {"login": "x" * 5000, "password": "y" * 5000},
        {"login": "%ED%A0%80", "password": "\udcff".encode("utf-8", "surrogatepass")},
        {"login": "' OR 1=1 --", "password": "x"},
        {"login": ["lead", "admin"], "password": PASSWORD + "x"},
    ],
)
def test_a_strange_form_signs_nobody_in(team: Team, form: dict[str, str]) -> None:
    answer = httpx.post(f"{team.server.url}/auth/sign-in", data=form, headers={"Origin": team.server.url})
    assert answer.status_code == 401 and "set-cookie" not in answer.headers


def test_files_and_floods_are_refused(team: Team) -> None:
    url, headers = f"{team.server.url}/auth/sign-in", {"Origin": team.server.url}
    assert httpx.post(url, files={"login": b"x"}, headers=headers).status_code == 400
    assert httpx.post(url, data={"login": "x" * 100_000}, headers=headers).status_code == 413
    assert httpx.post(url, content=iter([b"login=" + b"x" * 9999] * 9), headers=headers | {"Content-Type": "application/x-www-form-urlencoded"}).status_code == 413  # fmt: skip


def test_sign_in_needs_our_own_page(team: Team) -> None:
    form = {"login": "admin", "password": PASSWORD}
    for headers in (
        {},
        {"Origin": "http://evil.example"},
        {"Sec-Fetch-Site": "cross-site", "Origin": "null"},
    ):
        assert httpx.post(f"{team.server.url}/auth/sign-in", data=form, headers=headers).status_code == 403
        assert httpx.post(f"{team.server.url}/auth/sign-out", headers=headers).status_code == 403


def test_the_page_is_self_contained_and_labelled(team: Team) -> None:
    answer = httpx.get(f"{team.server.url}/auth/sign-in")
    assert not re.search(r"(src|href)=|url\(|@import|<script", answer.text)
    for name in ("login", "password"):
        assert f'<label for="{name}">' in answer.text and f'id="{name}"' in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_what_was_typed_is_text(team: Team) -> None:
    answer = sign_in(team.server.url, '"><script>alert(1)</script>', "x")
    assert "<script" not in answer.text and "&lt;script&gt;" in answer.text
