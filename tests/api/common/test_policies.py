# SPDX-License-Identifier: Apache-2.0
"""Every compute route, requested by callers with each role: allowed or refused as in Nova's reference (nova_policies.tsv)."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.api import compute
from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import BASE, PUBLIC, Rule
from nova_lite.api.wsgi.versions import parse
from nova_lite.cmd.lite import policy as policy_command
from nova_lite.context import Context, expand_roles
from nova_lite.db.compute.servers import Server
from tests.support.api import compute_api
from tests.support.api.compute_api import SERVER, ComputeApi
from tests.support.api.users import PROJECTS
from tests.support.options import defaults

ROUTES = SERVICES["compute"].routes
IDS = [f"{route.method} {route.path} {route.action or ''} {route.versions.since}" for route in ROUTES]
DECLARED = {rule.name: rule for rule in SERVICES["compute"].rules if rule is not PUBLIC}
UUID = "11111111-2222-4333-8444-555555555555"
# Callers of the server's own project by their role; `admin` is of another one.
CALLERS = {"nobody": set(), "reader": {"reader"}, "alice": {"reader", "member"}, "manager": {"reader", "member", "manager"},
           "service": {"service"}, "admin": {"reader", "member", "manager", "admin", "service"}}

# What Nova's reference has and this cloud does not serve, and why: regular expressions over "METHOD path action".
UNSERVED = {
    r".* /os-volumes_boot.*": "the same as /servers, which clients use",
}
# Rules that Nova checks beside a route's own and this cloud does not, and why.
UNCHECKED = {
    "compute:servers:resize:cross_cell": "there is one cell",
    "network:attach_external_network": "no caller attaches to an external network that is neither shared nor the project's own",
    "os_compute_api:os-migrate-server:migrate:host": "moves between hosts come in a later issue",
    "os_compute_api:os-migrate-server:migrate_live:host": "moves between hosts come in a later issue",
    "os_compute_api:servers:create:attach_network": "a caller who may create may attach; the network service checks to which network",
    "os_compute_api:servers:create:attach_volume": "volumes come in a later issue",
    "os_compute_api:servers:create:trusted_certs": "certificates are refused to all",
    "os_compute_api:servers:migrations:index:host": "only moves between hosts are listed there, and there are none",
}


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of nova_policies.tsv."""

    method: str
    path: str
    action: str
    since: str
    until: str
    rule: str
    role: str
    also: tuple[tuple[str, str], ...]

    @property
    def key(self) -> str:
        return f"{self.method} {self.path} {self.action}".strip()


def table() -> list[Row]:
    lines = Path(__file__).with_name("nova_policies.tsv").read_text().splitlines()
    cells = [line.split("\t") for line in lines if not line.startswith("#")]
    return [Row(*found[:7], tuple((name, role) for name, _, role in (one.rpartition("=") for one in found[7:])))
            for found in cells]


TABLE = {row.key: row for row in table()}


def key(route: Route) -> str:
    return f"{route.method} {re.sub('{[^}]*}', '{}', route.path)} {route.action or ''}".strip()


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ComputeApi]:
    """A cloud in which alice has the server `UUID`."""
    made = compute_api.furnish(compute_api.make(tmp_path_factory.mktemp("policies")))
    server = made.post("/servers", {"server": {**SERVER, "networks": [{"uuid": compute_api.NETWORK}]}}, version="2.37")
    assert server.status == 202, server.body
    made.change(lambda session: session.query(Server).update({"id": UUID}))
    yield made
    made.database.close()


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_a_route_of_the_reference_is_served_or_left_out_for_a_reason(row: Row) -> None:
    served = row.key in {key(route) for route in ROUTES}
    reasons = [reason for pattern, reason in UNSERVED.items() if re.fullmatch(pattern, row.key)]
    assert served or reasons or row.role == "gone", f"{row.key} is not served, and nothing says why"


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_a_route_has_novas_rule_and_role(route: Route) -> None:
    row = TABLE.get(key(route))
    assert (row is None) == route.additive, "Nova has no such route: declare it as additive, or Nova has it: it is not"
    if row is None:
        return
    if row.rule != "-":
        assert route.policy.name == row.rule
    if row.role not in ("-", "gone"):
        assert (route.policy.role or "any") == {"own": "any"}.get(row.role, row.role)
    for name, role in row.also:
        if name in DECLARED:
            assert (DECLARED[name].role or "any") == role, name


def test_a_rule_checked_beside_the_routes_own_is_declared_or_left_out_for_a_reason() -> None:
    served = {key(route) for route in ROUTES}
    beside = {name for row in TABLE.values() if row.key in served for name, _ in row.also}
    assert beside - set(DECLARED) == set(UNCHECKED)


@pytest.mark.parametrize("pattern", UNSERVED)
def test_a_reason_to_leave_out_is_of_a_route_that_is(pattern: str) -> None:
    left = [row.key for row in TABLE.values() if row.key not in {key(route) for route in ROUTES}]
    assert any(re.fullmatch(pattern, found) for found in left)


@pytest.mark.parametrize("row", TABLE.values(), ids=list(TABLE))
def test_a_route_is_there_when_nova_has_it(row: Row) -> None:
    """A route's ranges together are the reference's, up to our newest version."""
    mine = sorted((route.versions.since, route.versions.until) for route in ROUTES if key(route) == row.key)
    if not mine or row.role == "gone":
        return
    newest = compute.NEGOTIATION.maximum
    first, last = max(mine[0][0], parse("2.1")), mine[-1][1]
    assert first == parse(row.since)
    if row.until and parse(row.until) < newest:
        assert last == parse(row.until)
    else:
        assert last is None


def _request(api: ComputeApi, route: Route, user: str) -> compute_api.Answer:
    """Request the route with a body that no schema accepts and ids of nothing but alice's server: nothing is changed."""
    ids = {"server_id": UUID, "project_id": PROJECTS["alice"]}
    path = re.sub(r"{(\w+)}", lambda found: ids.get(found[1], UUID.replace("1", "9")), route.path)
    body: object = None
    if route.action:
        body = {route.action: {"no such": "key"}, "nor": "this"}
    elif route.schemas or route.method in ("POST", "PUT"):
        body = {"no such": "key"}
    version = max(route.versions.since, parse("2.1"))
    return api.request(route.method, path, body, user=user, version=str(version))


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_every_role_is_allowed_or_refused_as_in_the_reference(api: ComputeApi, route: Route) -> None:
    assert _request(api, route, "").status == 401
    if route.method == "DELETE" and "{server_id}" in route.path:
        return  # it would delete; the rule itself is compared above and below
    role = route.policy.role or "any" if route.additive else TABLE[key(route)].role
    if role in ("-", "gone"):
        return
    for user, held in CALLERS.items():
        answer = _request(api, route, user)
        is_refused = answer.status == 403 and route.policy.name in json.dumps(answer.body)
        assert is_refused == (role not in ("any", "own") and role not in held), f"{user}: {answer}"


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_a_members_token_of_another_project_reaches_nothing(api: ComputeApi, route: Route) -> None:
    if "{server_id}" not in route.path:
        return  # what a list or a name shows to others is tests/api/common/test_isolation.py's
    answer = _request(api, route, "bob")
    assert answer.status in (400, 403, 404, 410), answer


@pytest.fixture(scope="module")
def default_policy(tmp_path_factory: pytest.TempPathFactory) -> Policy:
    """Without an operator's file."""
    return _policy(tmp_path_factory.mktemp("default"), "")


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_the_default_check_allows_the_same_callers_as_the_role(route: Route, default_policy: Policy) -> None:
    for user, held in CALLERS.items():
        ctxt = Context(user_id=user, project_id=PROJECTS[user], roles=expand_roles({"alice": {"member"}, "nobody": set()}.get(user, {user})))
        assert default_policy.allows(route.policy, ctxt) == (not route.policy.role or route.policy.role in held), user


def _policy(tmp_path: Path, text: str) -> Policy:
    if text:
        (tmp_path / "policy.yaml").write_text(text)
    conf = defaults()
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    return Policy(conf, [*DECLARED.values()])


DELETE = Rule("os_compute_api:servers:delete", "member")


@pytest.mark.parametrize(("check", "allowed"), [
    ("rule:admin_api", {"admin"}),
    ("rule:project_manager_or_admin", {"manager", "admin"}),
    ("rule:project_manager_api", {"manager", "admin"}),
    ("rule:project_reader_or_admin", {"reader", "alice", "manager", "admin"}),
    ("rule:service_api", {"service"}),
    ("rule:admin_or_owner", set(CALLERS)),
    ("!", set()),
])
def test_an_operators_file_may_use_novas_base_rules(tmp_path: Path, check: str, allowed: set[str]) -> None:
    policy = _policy(tmp_path, f'"{DELETE.name}": "{check}"\n')
    roles = {"alice": {"member"}, "nobody": set()}
    found = {user for user in CALLERS if policy.allows(DELETE, Context(
        user_id=user, project_id=PROJECTS[user], roles=expand_roles(roles.get(user, {user}))))}
    assert found == allowed


def test_an_operator_may_change_what_an_admin_is(tmp_path: Path) -> None:
    policy = _policy(tmp_path, '"context_is_admin": "role:cloud_admin"\n')
    assert not policy.allows(DECLARED["os_compute_api:os-services:list"], Context(roles=frozenset({"admin"})))
    assert policy.allows(DECLARED["os_compute_api:os-services:list"], Context(roles=frozenset({"cloud_admin"})))


def test_a_caller_who_is_an_admin_by_the_operators_rule_sees_what_an_admin_sees(api: ComputeApi) -> None:
    assert api.request("GET", f"/servers/{UUID}", user="bob").status == 404
    path = Path(api.conf.oslo_policy.policy_file)
    path.write_text('"context_is_admin": "role:admin or project_id:' + PROJECTS["bob"] + '"\n')
    try:
        assert api.request("GET", f"/servers/{UUID}", user="bob").status == 200
        assert api.request("GET", "/os-services", user="bob").status == 200
        assert api.request("GET", "/os-services", user="alice").status == 403
    finally:
        path.unlink()
    assert api.request("GET", f"/servers/{UUID}", user="bob").status == 404


def test_a_caller_who_is_no_admin_by_the_operators_rule_sees_no_others_resources(api: ComputeApi) -> None:
    path = Path(api.conf.oslo_policy.policy_file)
    path.write_text('"context_is_admin": "role:cloud_admin"\n')
    try:
        assert api.request("GET", f"/servers/{UUID}", user="admin").status in (403, 404)
    finally:
        path.unlink()


def test_an_operator_may_leave_a_server_to_its_creator(api: ComputeApi) -> None:
    """A rule about the user looks at the server's, not at the caller's own."""
    assert api.request("GET", f"/servers/{UUID}", user="manager").status == 200
    path = Path(api.conf.oslo_policy.policy_file)
    path.write_text('"os_compute_api:servers:show": "user_id:%(user_id)s"\n')
    try:
        assert api.request("GET", f"/servers/{UUID}", user="alice").status == 200
        refused = api.request("GET", f"/servers/{UUID}", user="manager")
        assert refused.status == 403
        assert api.request("GET", f"/servers/{UUID}", user="bob").status == 404
    finally:
        path.unlink()


def test_an_undeclared_rule_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.PolicyForbids):
        _policy(tmp_path, "").check(Rule("os_compute_api:nothing", ""), Context(roles=frozenset({"admin"})))


def test_the_sample_is_a_policy_file_that_changes_nothing_and_has_every_rule(tmp_path: Path) -> None:
    text = policy_command.render("yaml", ["compute"])
    assert all(line.startswith("#") for line in text.splitlines())
    listed = json.loads(policy_command.render("json", ["compute"]))
    assert set(listed) == {*DECLARED, *(name for name, _, _ in BASE)}
    whole = "".join(line[1:] + "\n" for line in text.splitlines() if line.startswith('#"'))
    as_default, as_written = _policy(tmp_path / "none", ""), _policy(tmp_path, whole)
    for rule in DECLARED.values():
        for user in CALLERS:
            ctxt = Context(user_id=user, project_id=PROJECTS[user], roles=expand_roles({user}))
            assert as_default.allows(rule, ctxt) == as_written.allows(rule, ctxt)
