"""People: links that work once and expire, passwords, sessions, tokens, and an admin who is always there."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlmodel import update

from core.roles import Identity
from storage import people
from storage.people import PeopleError
from storage.store import Store
from storage.tables import AccountRow, SecretRow

PASSWORD = "correct horse battery"


@pytest.fixture
def admin(store: Store) -> AccountRow:
    link = people.first_admin_link(store)
    assert link is not None
    return people.accept(store, link, PASSWORD, login=" Root@Example.org ", name="Root")


def expire_everything(store: Store) -> None:
    with store.writing() as session:
        session.exec(update(SecretRow).values(expires_at=datetime.now(UTC) - timedelta(seconds=1)))


def test_the_first_link_makes_an_admin_once(store: Store) -> None:
    earlier, link = people.first_admin_link(store), people.first_admin_link(store)
    assert earlier and link and earlier != link
    assert people.invited(store, earlier) == (False, None) and people.invited(store, link) == (True, None)
    with pytest.raises(PeopleError, match="used already or has expired"):
        people.accept(store, earlier, PASSWORD, login="mallory")
    account = people.accept(store, link, PASSWORD, login="Root")
    assert (account.login, account.name, account.role) == ("root", "Root", "admin")
    with pytest.raises(PeopleError, match="used already"):
        people.accept(store, link, PASSWORD, login="mallory")
    assert people.first_admin_link(store) is None
    assert [a.login for a in people.accounts(store)] == ["root"]
    assert store.rows("SELECT id, kind FROM annotator") == [(account.id, "person")]


@pytest.mark.parametrize("login", ["", "   ", "a" * 101, "ro\not", "ro\0ot"])
def test_a_login_that_cannot_be_used_leaves_the_link_working(store: Store, login: str) -> None:
    link = people.first_admin_link(store)
    assert link
    with pytest.raises(PeopleError, match="login"):
        people.accept(store, link, PASSWORD, login=login)
    assert people.invited(store, link) == (True, None) and people.accounts(store) == []
    people.accept(store, link, PASSWORD, login="root")


@pytest.mark.parametrize("password", ["", "short", "x" * 1001])
def test_passwords_have_a_length(store: Store, password: str) -> None:
    link = people.first_admin_link(store)
    assert link
    with pytest.raises(PeopleError, match="password"):
        people.accept(store, link, password, login="root")
    assert people.invited(store, link)[0]


def test_invitations(store: Store, admin: AccountRow) -> None:
    bob, link = people.create(store, "Bob", "Bob B.", "annotator", admin.login)
    assert people.verify(store, "bob", "") is None and people.verify(store, "bob", PASSWORD) is None
    working, whose = people.invited(store, link)
    assert working and whose is not None and whose.id == bob.id
    again = people.invite_again(store, bob.id, admin.login)
    assert people.invited(store, link) == (False, None)
    assert people.accept(store, again, PASSWORD).id == bob.id
    assert people.verify(store, " BOB ", PASSWORD) is not None
    session = people.open_session(store, bob, 1)
    late = people.invite_again(store, bob.id, admin.login)
    assert people.who(store, session, "session") is None
    expire_everything(store)
    assert people.invited(store, late) == (False, None)
    with pytest.raises(PeopleError, match="expired"):
        people.accept(store, late, PASSWORD)


@pytest.mark.parametrize(
    ("login", "name", "role", "field"),
    [
        ("root@example.org", "X", "lead", "login"),
        ("ROOT@example.org", "X", "lead", "login"),
        ("x", "", "lead", "name"),
        ("x", "X", "owner", "role"),
    ],
)
def test_accounts_that_cannot_be_made(
    store: Store, admin: AccountRow, login: str, name: str, role: Any, field: str
) -> None:
    with pytest.raises(PeopleError, match=f"^{field}"):
        people.create(store, login, name, role, admin.login)
    assert len(people.accounts(store)) == 1
    assert store.rows("SELECT count(*) FROM annotator") == [(1,)]


def test_passwords_are_verified_and_kept_as_argon2(store: Store, admin: AccountRow) -> None:
    found = people.verify(store, "ROOT@example.org", PASSWORD)
    assert found is not None and found.id == admin.id
    for login, password in [
        ("root@example.org", PASSWORD + "x"),
        ("nobody", PASSWORD),
        ("", ""),
        ("root@example.org", ""),
    ]:
        assert people.verify(store, login, password) is None
    assert store.rows("SELECT password_hash FROM account")[0][0].startswith("$argon2id$")
    assert PASSWORD not in str(store.rows("FROM account")) + str(store.rows("FROM audit"))


def test_sessions_end(store: Store, admin: AccountRow) -> None:
    one, two = people.open_session(store, admin, 12), people.open_session(store, admin, 12)
    assert people.who(store, one, "session") == Identity(admin.id, "Root", "admin")
    assert people.who(store, one, "token") is None and people.who(store, "made up", "session") is None
    people.close_session(store, one)
    assert people.who(store, one, "session") is None and people.who(store, two, "session") is not None
    expire_everything(store)
    assert people.who(store, two, "session") is None
    people.open_session(store, admin, 12)
    assert store.rows("SELECT count(*) FROM secret WHERE kind = 'session'") == [(1,)], (
        "the expired ones are gone"
    )
    assert two not in str(store.rows("FROM secret"))


def test_tokens_are_shown_once_and_revoked(store: Store, admin: AccountRow) -> None:
    secret = people.create_token(store, admin.id, "nightly import", admin.login)
    identity = people.who(store, secret, "token")
    assert identity is not None and identity.may("admin") and people.who(store, secret, "session") is None
    ((row, whose),) = people.tokens(store)
    assert (row.label, whose.id, row.expires_at) == ("nightly import", admin.id, None)
    assert secret not in str(store.rows("FROM secret")) + str(store.rows("FROM audit"))
    people.revoke(store, row.id, admin.login)
    people.revoke(store, row.id, admin.login)
    assert people.who(store, secret, "token") is None and people.tokens(store) == []
    assert store.rows("SELECT count(*) FROM audit WHERE action = 'revoke'") == [(1,)]
    with pytest.raises(PeopleError, match="label"):
        people.create_token(store, admin.id, " ", admin.login)


def test_there_is_always_an_admin(store: Store, admin: AccountRow) -> None:
    bob, link = people.create(store, "bob", "Bob", "lead", admin.login)
    for change in ({"role": "lead"}, {"disabled": True}):
        with pytest.raises(PeopleError, match="last admin"):
            people.change(store, admin.id, admin.login, **change)  # type: ignore[arg-type]
    people.change(store, bob.id, admin.login, role="admin")
    with pytest.raises(PeopleError, match="last admin who can sign in"):
        people.change(store, admin.id, admin.login, disabled=True)
    people.accept(store, link, PASSWORD)
    people.change(store, admin.id, "bob", disabled=True)
    with pytest.raises(PeopleError, match="last admin"):
        people.change(store, bob.id, "bob", role="annotator")
    assert {a.login: (a.role, a.disabled) for a in people.accounts(store)} == {
        "root@example.org": ("admin", True),
        "bob": ("admin", False),
    }


def test_a_disabled_account_is_shut_out_everywhere(store: Store, admin: AccountRow) -> None:
    bob, link = people.create(store, "bob", "Bob", "lead", admin.login)
    bob = people.accept(store, link, PASSWORD)
    session, token = people.open_session(store, bob, 12), people.create_token(store, bob.id, "x", "bob")
    people.change(store, bob.id, admin.login, disabled=True)
    assert people.who(store, session, "session") is people.who(store, token, "token") is None
    assert people.verify(store, "bob", PASSWORD) is None
    assert people.enter(store, "bob", "Bob", admin=False) is None
    people.change(store, bob.id, admin.login, disabled=False)
    assert people.who(store, session, "session") is None and people.verify(store, "bob", PASSWORD) is not None
    trail = store.rows(
        "SELECT detail->'after'->>'disabled' FROM audit WHERE action = 'change' ORDER BY occurred_at"
    )
    assert trail == [("true",), ("false",)]


def test_a_new_role_counts_at_once(store: Store, admin: AccountRow) -> None:
    bob, _ = people.create(store, "bob", "Bob", "annotator", admin.login)
    session = people.open_session(store, bob, 12)
    people.change(store, bob.id, admin.login, role="researcher")
    identity = people.who(store, session, "session")
    assert identity is not None and identity.may("researcher") and not identity.may("lead")


def test_oidc_makes_an_account_at_the_first_visit(store: Store) -> None:
    ann = people.enter(store, "Ann@Example.org", "Ann", admin=True)
    again = people.enter(store, "ann@example.org", "Ann N.", admin=False)
    bob = people.enter(store, "bob@example.org", "Bob", admin=False)
    assert ann and again and bob and ann.id == again.id
    assert (again.role, bob.role) == ("admin", "annotator")
    assert people.verify(store, "ann@example.org", "") is None


def test_without_sign_in_a_name_is_a_person(store: Store) -> None:
    one, two = people.annotator(store, " Ann "), people.annotator(store, "Ann")
    assert one == two and one.name == "Ann" and people.annotator(store, "ann") != one
    assert store.rows("SELECT record_id, count(*) FROM audit WHERE actor = ? GROUP BY ALL", one.id) == [
        (one.id, 1)
    ]
    assert store.rows("SELECT count(*) FROM annotator") == [(2,)]
    for name in ("", " ", "x" * 101, "a\nb"):
        with pytest.raises(PeopleError, match="name"):
            people.annotator(store, name)
