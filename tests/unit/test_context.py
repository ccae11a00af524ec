# SPDX-License-Identifier: Apache-2.0
"""The context of a request: who is an admin, and its form on the message bus."""

from __future__ import annotations

from nova_lite.context import ADMIN, Context, expand_roles


def test_a_caller_with_the_role_is_an_admin_unless_the_operators_rule_says_otherwise() -> None:
    admin = frozenset({ADMIN})
    assert Context(roles=admin).is_admin
    assert not Context(roles=admin, admin_override=False).is_admin
    assert Context(admin_override=True).is_admin


def test_a_context_comes_back_from_the_wire() -> None:
    ctxt = Context(user_id="u", project_id="p", roles=expand_roles({"member"}), admin_override=False)
    assert Context.from_wire(ctxt.to_wire()) == ctxt


def test_a_context_of_release_0_1_keeps_its_admin_override() -> None:
    wire = Context(admin_override=True).to_wire()
    wire["judged_admin"] = wire.pop("admin_override")
    assert Context.from_wire(wire).is_admin
