"""Who calls a route, and whether their role lets them."""

from functools import lru_cache
from typing import Annotated

from fastapi import Depends, HTTPException, Request

from core.roles import Identity, Role
from storage import people
from storage.store import Store
from storage.workbench import workbench


def identify(request: Request, name: str | None = None) -> Identity:
    """The caller. With sign-in off it is whoever ``name``, or else the X-Attune-Name header, says ("local" without).

    Raises HTTPException 403 when somebody signed in names somebody else, PeopleError for a name that cannot be one.
    """
    identity: Identity | None = request.state.identity
    if identity is None:
        header = request.headers.get("x-attune-name", "local").encode("latin-1").decode("utf-8", "replace")
        return _named(workbench().store, header if name is None else name)
    if name not in (None, identity.name, identity.id):
        raise HTTPException(
            403, f"You are signed in as {identity.name}: annotate under that name, or leave it out."
        )
    return identity


@lru_cache(maxsize=4096)
def _named(store: Store, name: str) -> Identity:
    return people.annotator(store, name)


def check(identity: Identity, needed: Role) -> Identity:
    """Raises HTTPException 403 for a lower role."""
    if not identity.may(needed):
        raise HTTPException(
            403, f"This takes the role {needed}; you are {identity.role}. An admin can change that."
        )
    return identity


def _researcher(request: Request) -> Identity:
    return check(identify(request), "researcher")


def _lead(request: Request) -> Identity:
    return check(identify(request), "lead")


Researcher = Annotated[Identity, Depends(_researcher)]
Lead = Annotated[Identity, Depends(_lead)]
