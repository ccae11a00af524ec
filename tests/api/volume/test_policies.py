# SPDX-License-Identifier: Apache-2.0
"""Every route of block storage, requested by callers with each role: allowed or refused as in Cinder's reference (cinder_policies.tsv)."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from nova_lite.api.services import SERVICES
from nova_lite.api.volume.microversions import HISTORY
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.versions import parse
from nova_lite.context import Context, expand_roles
from tests.support.api import volume_api
from tests.support.api.compute_api import Answer
from tests.support.api.users import PROJECTS, ROLES
from tests.support.api.volume_api import VolumeApi
from tests.support.options import defaults

ROUTES = SERVICES["volume"].routes
IDS = [f"{route.method} {route.path} {route.action or ''} {route.versions.since}" for route in ROUTES]
UUID = "11111111-2222-4333-8444-555555555555"
USERS = ("nobody", "reader", "alice", "manager", "service", "admin")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of cinder_policies.tsv."""

    method: str
    path: str
    action: str
    since: str
    status: str
    rule: str
    role: str

    @property
    def key(self) -> str:
        return f"{self.method} {self.path} {self.action}".strip()


LINES = Path(__file__).with_name("cinder_policies.tsv").read_text().splitlines()
TABLE = {row.key: row for row in (Row(*line.split("\t")) for line in LINES if not line.startswith("#"))}


def key(route: Route) -> str:
    return f"{route.method} {re.sub('{[^}]*}', '{}', route.path)} {route.action or ''}".strip()


SERVED = {key(route) for route in ROUTES}


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VolumeApi]:
    made = volume_api.make(tmp_path_factory.mktemp("policies"))
    yield made
    made.database.close()


@pytest.mark.parametrize("name", TABLE)
def test_every_route_of_the_reference_is_served(name: str) -> None:
    assert name in SERVED


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_a_route_has_cinders_rule_role_and_status(route: Route) -> None:
    row = TABLE.get(key(route))
    assert (row is None) == route.additive, "Cinder has no such route: declare it as additive, or Cinder has it: it is not"
    if row is not None:
        assert row.rule in ("-", route.policy.name)
        assert (route.policy.role, str(route.status)) == (row.role, row.status)


@pytest.mark.parametrize("name", sorted(SERVED & TABLE.keys()))
def test_a_route_is_there_when_cinder_has_it(name: str) -> None:
    """The ranges of its handlers together."""
    ranges = sorted((route.versions.since, route.versions.until) for route in ROUTES if key(route) == name)
    assert max(ranges[0][0], parse("3.0")) == parse(TABLE[name].since)
    assert ranges[-1][1] is None


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_the_versions_that_a_route_names_are_cinders(route: Route) -> None:
    history = {parse(version) for version, _ in HISTORY} | {parse("2.0")}
    named = {route.versions.since, *(first for first, _ in (*route.schemas, *route.queries, *route.responses))}
    assert named <= history


def _request(cloud: VolumeApi, route: Route, user: str) -> Answer:
    """Request the route with a body that no schema accepts and ids of nothing: nothing is changed."""
    path = re.sub(r"{(\w+)}", lambda found: PROJECTS["alice"] if found[1] == "project_id" else UUID, route.path)
    body: object = None
    if route.action:
        body = {route.action: {"no such": "key"}, "nor": "this"}
    elif route.schemas or route.method in ("POST", "PUT"):
        body = {"no such": "key"}
    return cloud.request(route.method, path, body, user=user, version=str(max(route.versions.since, parse("3.0"))))


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_every_role_is_allowed_or_refused_as_in_the_reference(cloud: VolumeApi, route: Route) -> None:
    assert _request(cloud, route, "").status == 401
    for user in USERS:
        answer = _request(cloud, route, user)
        is_refused = answer.status == 403 and route.policy.name in json.dumps(answer.body)
        assert is_refused == (route.policy.role not in expand_roles(ROLES[user])), f"{user}: {answer}"


@pytest.mark.parametrize("route", ROUTES, ids=IDS)
def test_the_default_check_allows_the_same_callers_as_the_role(route: Route, tmp_path: Path) -> None:
    conf = defaults()
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    policy = Policy(conf, [route.policy])
    for user in USERS:
        ctxt = Context(user_id=user, project_id=PROJECTS[user], roles=expand_roles(ROLES[user]))
        assert policy.allows(route.policy, ctxt) == (route.policy.role in ctxt.roles), user
