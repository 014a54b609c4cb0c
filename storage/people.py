"""People: accounts, passwords, and the bearer secrets (sessions, API tokens, invitations) they hold."""

import hashlib
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pyarrow as pa
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError
from sqlmodel import Session, col, delete, select

from core.records import content_id
from core.roles import ROLES, Identity, Role
from storage.store import Store, audit, insert, new_id
from storage.tables import AccountRow, AnnotatorRow, SecretRow

Kind = Literal["session", "token", "invitation"]
MIN_PASSWORD = 10
MAX_NAME = 100
INVITATION = timedelta(days=7)
_hasher = PasswordHasher()
_NOBODY = _hasher.hash(secrets.token_hex(16))


class PeopleError(ValueError):
    """An account cannot be made or changed this way; the message says why."""


def annotator(store: Store, name: str) -> Identity:
    """The person of that name where sign-in is off; an annotator is made for them at the first visit.

    Raises PeopleError when the name cannot be used.
    """
    name = _checked(name, "name")
    identity = Identity(content_id("u", "person", name), name, "admin")
    if not store.rows("SELECT 1 FROM annotator WHERE id = ?", identity.id):
        with store.writing() as session:
            if session.get(AnnotatorRow, identity.id) is None:
                _annotator_row(session, identity.id, name)
                audit(session, identity.id, "create", "annotator", identity.id, name=name)
    return identity


def accounts(store: Store) -> list[AccountRow]:
    """Everybody, by login."""
    with store.reading() as session:
        return list(session.exec(select(AccountRow).order_by(col(AccountRow.login))))


def annotators(store: Store) -> list[tuple[str, str, str, str | None, int]]:
    """Whoever annotations are attributed to: id, name, kind, login where there is an account, annotations that stand."""
    return store.rows(
        """SELECT annotator.id, annotator.name, kind, login, coalesce(n, 0) FROM annotator
           LEFT JOIN account ON account.id = annotator.id
           LEFT JOIN (SELECT annotator_id, count(*) AS n FROM current_annotation WHERE choice <> 'skip'
                      GROUP BY annotator_id) votes ON annotator_id = annotator.id
           ORDER BY annotator.name, annotator.id"""
    )


def name(store: Store, annotator_id: str) -> str:
    """What somebody is called; the id where there is nobody of that id."""
    with store.reading() as session:
        row = session.get(AnnotatorRow, annotator_id)
    return row.name if row else annotator_id


def enter_annotators(session: Session, names: Mapping[str, str], kind: str) -> int:
    """Insert those of the annotators, names by id, that are not there yet; returns how many."""
    now = datetime.now(UTC)
    columns: dict[str, Any] = {
        "id": list(names),
        "name": list(names.values()),
        "kind": [kind] * len(names),
        "created_at": pa.array([now] * len(names), pa.timestamp("us", "UTC")),
    }
    return insert(session, "annotator", pa.table(columns), unless="id") if names else 0


def first_admin_link(store: Store) -> str | None:
    """The secret of the one-time link that makes the first admin; None once there is an account.

    A link made earlier stops working.
    """
    if accounts(store):
        return None
    with store.writing() as session:
        session.exec(delete(SecretRow).where(col(SecretRow.kind) == "invitation"))
        return _issue(session, "invitation", None, "first admin", INVITATION)


def create(store: Store, login: str, name: str, role: Role, actor: str) -> tuple[AccountRow, str]:
    """A new account, and the secret of the one-time link with which its owner sets a password. Raises PeopleError."""
    with store.writing() as session:
        account = _account(session, login, name, role, actor)
        return account, _issue(session, "invitation", account.id, "invitation", INVITATION)


def invite_again(store: Store, account_id: str, actor: str) -> str:
    """A new one-time link for an account (a forgotten password); its earlier links and sessions end."""
    with store.writing() as session:
        _end(session, account_id, "invitation")
        _end(session, account_id, "session")
        audit(session, actor, "invite", "account", account_id)
        return _issue(session, "invitation", account_id, "invitation", INVITATION)


def accept(store: Store, secret: str, password: str, *, login: str = "", name: str = "") -> AccountRow:
    """Use a one-time link: set the password of its account, or make the first admin as ``login``. Raises PeopleError."""
    if len(password) < MIN_PASSWORD:
        raise PeopleError(f"password: use at least {MIN_PASSWORD} characters")
    if len(password) > 1000:
        raise PeopleError("password: use at most 1000 characters")
    with store.writing() as session:
        invitation = _find(session, secret, "invitation")
        if invitation is None:
            raise PeopleError("link: it was used already or has expired; ask an admin for a new one")
        if invitation.account_id is None:
            account = _account(session, login, name or login, "admin", login)
        else:
            account = session.get_one(AccountRow, invitation.account_id)
        account.password_hash = _hasher.hash(password)
        session.delete(invitation)
        audit(session, account.login, "set password", "account", account.id)
        return account


def invited(store: Store, secret: str) -> tuple[bool, AccountRow | None]:
    """Whether a one-time link works, and whose it is (None: the first admin's)."""
    with store.reading() as session:
        invitation = _find(session, secret, "invitation")
        if invitation is None:
            return False, None
        return True, session.get(AccountRow, invitation.account_id) if invitation.account_id else None


def verify(store: Store, login: str, password: str) -> AccountRow | None:
    """The account, if the password is right and it is not disabled; takes equally long when there is none."""
    with store.reading() as session:
        account = session.exec(select(AccountRow).where(AccountRow.login == login.strip().lower())).first()
    try:
        _hasher.verify((account.password_hash if account else None) or _NOBODY, password)
    except (VerifyMismatchError, InvalidHashError):
        return None
    return account if account and account.password_hash and not account.disabled else None


def enter(store: Store, login: str, name: str, *, admin: bool) -> AccountRow | None:
    """The account of somebody an OIDC provider vouches for; made as annotator (or admin) at the first visit.

    None when the account is disabled.
    """
    with store.writing() as session:
        account = session.exec(select(AccountRow).where(AccountRow.login == login.strip().lower())).first()
        if account is None:
            account = _account(session, login, name, "admin" if admin else "annotator", "oidc")
        return None if account.disabled else account


def open_session(store: Store, account: AccountRow, hours: int) -> str:
    """A new browser session; returns its secret."""
    with store.writing() as session:
        session.exec(delete(SecretRow).where(col(SecretRow.expires_at) <= datetime.now(UTC)))
        audit(session, account.login, "sign in", "account", account.id)
        return _issue(session, "session", account.id, "", timedelta(hours=hours))


def close_session(store: Store, secret: str) -> None:
    with store.writing() as session:
        session.exec(delete(SecretRow).where(col(SecretRow.id) == _digest(secret)))


def create_token(store: Store, account_id: str, label: str, actor: str) -> str:
    """A new API token that acts as the account; the secret is shown once and only its digest kept."""
    label = _checked(label, "label")
    with store.writing() as session:
        audit(session, actor, "create token", "account", account_id, label=label)
        return _issue(session, "token", account_id, label, None)


def tokens(store: Store) -> list[tuple[SecretRow, AccountRow]]:
    """The API tokens that work, newest first, with their accounts."""
    query = select(SecretRow, AccountRow).join(AccountRow, col(AccountRow.id) == col(SecretRow.account_id))
    with store.reading() as session:
        newest = col(SecretRow.created_at).desc()
        return list(session.exec(query.where(SecretRow.kind == "token").order_by(newest)))


def revoke(store: Store, secret_id: str, actor: str) -> None:
    """End an API token, a session or an invitation."""
    with store.writing() as session:
        row = session.get(SecretRow, secret_id)
        if row is not None:
            session.delete(row)
            audit(session, actor, "revoke", "account", row.account_id or "", kind=row.kind, label=row.label)


def who(store: Store, secret: str, kind: Kind) -> Identity | None:
    """Whose session or token that is; None when it is not known, has expired or the account is disabled."""
    rows = store.rows(
        """SELECT account.id, account.name, account.role FROM secret JOIN account ON account.id = secret.account_id
           WHERE secret.id = ? AND secret.kind = ? AND NOT disabled AND (expires_at IS NULL OR expires_at > ?)""",
        _digest(secret), kind, datetime.now(UTC),
    )  # fmt: skip
    return Identity(*rows[0]) if rows else None


def change(
    store: Store, account_id: str, actor: str, *, role: Role | None = None, disabled: bool | None = None
) -> None:
    """Give another role, disable or enable. Raises PeopleError rather than leave no admin who can sign in."""
    with store.writing() as session:
        account = session.get_one(AccountRow, account_id)
        before = {"role": account.role, "disabled": account.disabled}
        if role is not None:
            account.role = role
        if disabled is not None:
            account.disabled = disabled
        session.add(account)
        session.flush()
        people = session.exec(select(AccountRow)).all()
        oidc = all(person.password_hash is None for person in people)
        if not any(p.role == "admin" and not p.disabled and (oidc or p.password_hash) for p in people):
            raise PeopleError("role: this is the last admin who can sign in; make somebody else admin first")
        if account.disabled:
            _end(session, account_id, "session")
        after = {"role": account.role, "disabled": account.disabled}
        audit(session, actor, "change", "account", account_id, before=before, after=after)


def _account(session: Session, login: str, name: str, role: Role, actor: str) -> AccountRow:
    login = _checked(login, "login").lower()
    name = _checked(name, "name")
    if role not in ROLES:
        raise PeopleError(f"role: must be one of {', '.join(ROLES)}, not {role!r}")
    if session.exec(select(AccountRow).where(AccountRow.login == login)).first() is not None:
        raise PeopleError(f"login: {login!r} is taken")
    account = AccountRow(id=new_id("u"), login=login, name=name, role=role, created_at=datetime.now(UTC))
    session.add(account)
    _annotator_row(session, account.id, name)
    audit(session, actor, "create", "account", account.id, login=login, role=role)
    return account


def _annotator_row(session: Session, annotator_id: str, name: str) -> None:
    session.add(AnnotatorRow(id=annotator_id, name=name, kind="person", created_at=datetime.now(UTC)))


def _checked(value: str, field: str) -> str:
    value = value.strip()
    if not value or len(value) > MAX_NAME or not value.isprintable():
        raise PeopleError(f"{field}: needs 1 to {MAX_NAME} printable characters")
    return value


def _issue(session: Session, kind: Kind, account_id: str | None, label: str, valid: timedelta | None) -> str:
    secret = secrets.token_urlsafe(32)
    now = datetime.now(UTC)
    session.add(
        SecretRow(
            id=_digest(secret),
            kind=kind,
            account_id=account_id,
            label=label,
            created_at=now,
            expires_at=now + valid if valid else None,
        )
    )
    return secret


def _find(session: Session, secret: str, kind: Kind) -> SecretRow | None:
    row = session.get(SecretRow, _digest(secret))
    expired = row is not None and row.expires_at is not None and row.expires_at <= datetime.now(UTC)
    return row if row is not None and row.kind == kind and not expired else None


def _end(session: Session, account_id: str, kind: Kind) -> None:
    session.exec(
        delete(SecretRow).where(col(SecretRow.account_id) == account_id, col(SecretRow.kind) == kind)
    )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
