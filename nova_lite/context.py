# SPDX-License-Identifier: Apache-2.0
"""The caller of a request: user, project, roles and request id, part of every call and message."""

from __future__ import annotations

import dataclasses
import uuid

ADMIN, MANAGER, MEMBER, READER, SERVICE = "admin", "manager", "member", "reader", "service"

# Owner that no project is: of a caller whose token has no project. Rows of the cloud's own have "".
NO_PROJECT = "-"
# Keystone's implied roles: https://docs.openstack.org/keystone/latest/admin/service-api-protection.html
IMPLIED_ROLES: dict[str, tuple[str, ...]] = {
    ADMIN: (MANAGER, MEMBER, READER),
    MANAGER: (MEMBER, READER),
    MEMBER: (READER,),
}


def new_request_id() -> str:
    """A request id as every OpenStack service writes it: `req-` and a UUID."""
    return f"req-{uuid.uuid4()}"


def expand_roles(roles: frozenset[str] | set[str]) -> frozenset[str]:
    """The given roles with those they imply."""
    implied = {role for name in roles for role in IMPLIED_ROLES.get(name, ())}
    return frozenset(roles) | implied


def limit_roles(roles: frozenset[str], to: frozenset[str] | None) -> frozenset[str]:
    """The given roles with those they imply, as far as `to` are or imply them; None: all."""
    return expand_roles(roles) if to is None else expand_roles(roles) & expand_roles(to)


@dataclasses.dataclass(frozen=True)
class Context:
    """One request's identity; `roles` include implied ones. Never holds a token or password.

    `admin_override`: the result of the operator's rule `context_is_admin`; None: the role decides who is an admin.
    """

    user_id: str = ""
    project_id: str = ""
    roles: frozenset[str] = frozenset()
    request_id: str = dataclasses.field(default_factory=new_request_id)
    global_request_id: str = ""
    user_name: str = ""
    project_name: str = ""
    domain_id: str = "default"
    admin_override: bool | None = None

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.roles if self.admin_override is None else self.admin_override

    @property
    def visible_project(self) -> str | None:
        """The one project whose resources the caller may see; None for an admin: all."""
        return None if self.is_admin else self.project_id or NO_PROJECT

    def to_wire(self) -> dict[str, object]:
        """A dict for the message bus; `from_wire` is its inverse."""
        return {**vars(self), "roles": sorted(self.roles)}

    @classmethod
    def from_wire(cls, wire: dict[str, object]) -> Context:
        values = {name: value for name, value in wire.items() if name in _FIELDS}
        values.setdefault("admin_override", wire.get("judged_admin"))  # its name in release 0.1
        values["roles"] = frozenset(values.get("roles", ()))  # type: ignore[call-overload]
        return cls(**values)  # type: ignore[arg-type]


_FIELDS = frozenset(field.name for field in dataclasses.fields(Context))


def system_context(request_id: str | None = None) -> Context:
    """The context of work without a user's request: reconcilers, recovery, reports."""
    return Context(
        user_id="nova", roles=frozenset({ADMIN, SERVICE}), request_id=request_id or new_request_id()
    )
