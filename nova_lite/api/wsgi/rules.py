# SPDX-License-Identifier: Apache-2.0
"""Policy rules: what a rule is, the roles that rules name, and Nova's base rules, which an operator's policy.yaml may use and override."""

from __future__ import annotations

import dataclasses

from oslo_policy import policy as oslo_policy

from nova_lite import context

ANYONE, READER, MEMBER, MANAGER, ADMIN, SERVICE = (
    "", context.READER, context.MEMBER, context.MANAGER, context.ADMIN, context.SERVICE,
)


@dataclasses.dataclass(frozen=True)
class Rule:
    """A policy: its name (Nova's where Nova has it) and the least role that it requires by default.

    `role` "" (ANYONE): any valid token. An admin passes every rule. `check`: the default in oslo.policy's language,
    where a role cannot say it.
    """

    name: str
    role: str
    check: str = ""


PUBLIC = Rule("public", ANYONE)  # no token needed; an arch test lists the routes that may use it
IS_ADMIN = "context_is_admin"
# (name, check, purpose), as in Nova 2026.1; https://docs.openstack.org/nova/latest/configuration/policy.html
BASE: tuple[tuple[str, str, str], ...] = (
    (IS_ADMIN, "role:admin", "Decides what is meant by an admin in the rules below."),
    ("admin_or_owner", "rule:context_is_admin or project_id:%(project_id)s", "Old default: an admin or any role in the project."),
    ("admin_api", "rule:context_is_admin", "Default rule for most admin APIs."),
    ("project_manager_api", "role:manager and project_id:%(project_id)s", "Project-level management: a manager of the project."),
    ("project_member_api", "role:member and project_id:%(project_id)s", "Non-admin APIs that change things: a member of the project."),
    ("project_reader_api", "role:reader and project_id:%(project_id)s", "Non-admin APIs that only read: a reader of the project."),
    ("project_manager_or_admin", "rule:project_manager_api or rule:context_is_admin", "A manager of the project or an admin."),
    ("project_member_or_admin", "rule:project_member_api or rule:context_is_admin", "A member of the project or an admin."),
    ("project_reader_or_admin", "rule:project_reader_api or rule:context_is_admin", "A reader of the project or an admin."),
    ("service_api", "role:service", "Requests from one service to another."),
)
_BY_ROLE = {
    ANYONE: "@", ADMIN: "rule:admin_api", MANAGER: "rule:project_manager_or_admin", MEMBER: "rule:project_member_or_admin",
    READER: "rule:project_reader_or_admin", SERVICE: "rule:service_api or rule:context_is_admin",
}


def default_check(rule: Rule) -> str:
    """The rule's default in oslo.policy's language."""
    return rule.check or _BY_ROLE.get(rule.role) or f"role:{rule.role} or rule:context_is_admin"


def base_defaults() -> list[oslo_policy.RuleDefault]:
    """The base rules for an Enforcer."""
    return [oslo_policy.RuleDefault(name, check, description=text) for name, check, text in BASE]
