"""The four roles and what each may do; checked on the server by pages and routes alike."""

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["annotator", "researcher", "lead", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)


def allows(role: str, needed: Role) -> bool:
    """Roles are a ladder: each may do what the ones before it may."""
    return role in ROLES and ROLES.index(role) >= ROLES.index(needed)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who is asking: ``id`` is the account's, which is also their annotator id."""

    id: str
    name: str
    role: Role

    def may(self, needed: Role) -> bool:
        return allows(self.role, needed)
