# SPDX-License-Identifier: Apache-2.0
"""The API against its own OpenAPI document: whatever is sent, no 500 and no response that the document does not describe."""

from __future__ import annotations

import collections
import itertools
from collections.abc import Iterator
from typing import Any

import hypothesis
import openapi_spec_validator
import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis.checks import CheckFunction
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from nova_lite.api.compute.microversions import HISTORY
from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi import openapi
from nova_lite.api.wsgi.responses import Field, Property
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.versions import Version, parse
from tests.support.system.all_in_one import AllInOne

SERVICE = SERVICES["compute"]
assert SERVICE.negotiation is not None
ENDS = {str(SERVICE.negotiation.minimum), str(SERVICE.negotiation.maximum)}
Operation = tuple[str, str, str]  # version, method, path


def _operations() -> Iterator[Operation]:
    """All of the oldest and the newest version, and between them those that a version brought or changed."""
    before: dict[tuple[str, str], tuple[list[Any], dict[str, Any]]] = {}
    for version, _ in HISTORY:
        at, now = parse(version), {}
        for (path, method), routes in openapi._grouped(SERVICE.routes, at).items():
            made_of, known = [_made_of(route, at) for route in routes], before.get((method, path))
            # Most are as before, and to describe all of them at all versions takes seconds.
            rules = known[1] if known and known[0] == made_of else _rules(openapi._operation(SERVICE, routes, at))
            now[method, path] = made_of, rules
            if version in ENDS or known is None or known[1] != rules:
                yield version, method.upper(), path
        before = now


def _made_of(route: Route, at: Version) -> tuple[int, ...]:
    """What differs from another version's where the route's description does."""
    return id(route), id(route.schema_for(at)), id(route.query_for(at)), sum(moment <= at for moment in _MOMENTS[id(route)])


def _ends(shape: Any) -> Iterator[Version]:
    """Where a field of the shape begins, and the first version that lacks it."""
    if isinstance(shape, Field | Property):
        yield shape.versions.since
        if shape.versions.until:
            yield Version(shape.versions.until.major, shape.versions.until.minor + 1)
        yield from _ends(shape.schema)
    elif isinstance(shape, tuple | list | dict):
        for inner in shape.values() if isinstance(shape, dict) else shape:
            yield from _ends(inner)


# The versions at which what a route answers may change, by the route's id.
_MOMENTS = {id(route): [moment for first, shape in route.responses for moment in (first, *_ends(shape))] for route in SERVICE.routes}


def _rules(operation: dict[str, Any]) -> dict[str, Any]:
    """The description of an operation without its version."""
    return {**operation, "parameters": [one for one in operation["parameters"] if one["in"] != "header"]}


OPERATIONS = list(_operations())
# Valid and invalid requests of each operation, and, of the oldest and the newest version, of each action in one; the whole is to take about a minute.
EXAMPLES = {schemathesis.GenerationMode.POSITIVE: 3, schemathesis.GenerationMode.NEGATIVE: 1}
CHECKS: list[CheckFunction] = [
    content_type_conformance, response_headers_conformance, response_schema_conformance, status_code_conformance]
HOW = hypothesis.settings(derandomize=True, deadline=None, database=None, suppress_health_check=list(hypothesis.HealthCheck),
                          phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate])


class Stage:
    """A running cloud with one of most things; `known` are their ids by the names of path variables."""

    def __init__(self, cloud: AllInOne) -> None:
        self.cloud = cloud
        request, self._numbers = cloud.request, itertools.count(1)
        self.network = cloud.make_network("net", "10.77.0.0/16")
        self.image = request("POST", "/image/v2/images", {"name": "image", "disk_format": "raw", "container_format": "bare"})["id"]
        request("PUT", f"/image/v2/images/{self.image}/file", data=b"0" * 1024)
        self.answered: collections.Counter[int] = collections.Counter()
        self._schemas: dict[str, Any] = {}
        aggregate = request("POST", "/v2.1/os-aggregates", {"aggregate": {"name": "racks"}})["aggregate"]["id"]
        group = request("POST", "/v2.1/os-server-groups", {"server_group": {"name": "group", "policy": "affinity"}})["server_group"]["id"]
        request("POST", "/v2.1/os-keypairs", {"keypair": {"name": "key", "public_key": PUBLIC_KEY}})
        hypervisor = request("GET", "/v2.1/os-hypervisors")["hypervisors"][0]["id"]
        self.known = {"aggregate_id": str(aggregate), "server_group_id": group, "name": "key", "hypervisor_id": hypervisor,
                      "key": "a", "tag": "tag", "network": "net", "pattern": "node", "alias": "os-keypairs"}

    def schema(self, version: str) -> Any:
        """The version's document, as a client gets it."""
        if version not in self._schemas:
            document = self.cloud.request("GET", "/v2.1/openapi.json", version=version)
            if version in ENDS:
                openapi_spec_validator.validate(document)
            self._schemas[version] = schemathesis.openapi.from_dict(document)
            self._schemas[version].config.generation.update(modes=list(schemathesis.GenerationMode))
        return self._schemas[version]

    def renew(self) -> None:
        """Have an own flavor, and a server at rest whose actions name it."""
        request = self.cloud.request
        server = self.known.get("server_id")
        if server is None or self.cloud.status(server) in ("GONE", "ERROR", "DELETED", "SOFT_DELETED"):
            number = next(self._numbers)
            flavor = request("POST", "/v2.1/flavors", {"flavor": {
                "name": f"f{number}", "ram": 64, "vcpus": 1, "disk": 1, "id": f"f{number}"}})["flavor"]["id"]
            server = request("POST", "/v2.1/servers", {"server": {
                "name": f"s{number}", "imageRef": self.image, "flavorRef": flavor, "networks": [{"uuid": self.network}],
                "metadata": {"a": "b"}, "tags": ["tag"]}})["server"]["id"]
            self.cloud.wait_for_status(server, "ACTIVE")
            action = request("GET", f"/v2.1/servers/{server}/os-instance-actions")["instanceActions"][0]
            port = request("GET", f"/network/v2.0/ports?device_id={server}")["ports"][0]["id"]
            self.known |= {"server_id": server, "flavor_id": flavor, "request_id": action["request_id"], "port_id": port}


PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEZ2CtG8TGSuSoIpVY3oPqg50vXnKy8OswhqH9n2u20P alice@cloud"


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cloud = AllInOne(tmp_path_factory.mktemp("openapi"))
    try:
        cloud.start()
        yield Stage(cloud)
    finally:
        cloud.stop()


@pytest.mark.parametrize(("version", "method", "path"), OPERATIONS, ids=[" ".join(one) for one in OPERATIONS])
def test_whatever_is_sent_the_answer_is_as_the_document_says(stage: Stage, version: str, method: str, path: str) -> None:
    stage.renew()
    operation = stage.schema(version)[path][method]
    kinds = len(operation.definition.raw["x-nova-lite"]) if version in ENDS else 1
    for mode, count in EXAMPLES.items():
        try:
            cases = operation.as_strategy(generation_mode=mode)
            _send_all(stage, version, cases, count=count * kinds)
        except hypothesis.errors.Unsatisfiable:
            assert mode is schemathesis.GenerationMode.NEGATIVE  # nothing of it can be wrong


def _send_all(stage: Stage, version: str, cases: Any, *, count: int) -> None:
    @hypothesis.settings(HOW, max_examples=count)
    @hypothesis.given(case=cases, is_real=st.integers(0, 3))
    def send(case: Any, is_real: int) -> None:
        if is_real:
            _point_to_what_there_is(stage, case)
        case.headers["OpenStack-API-Version"] = f"compute {version}"  # else the answer is another version's
        answer = case.call(base_url=f"{stage.cloud.url}/v2.1", headers={"X-Auth-Token": stage.cloud.token}, timeout=30)
        stage.answered[answer.status_code] += 1
        assert answer.status_code not in (500, 503), f"{case.as_curl_command()}\n{answer.text}\n{stage.cloud.tail(20)}"
        case.validate_response(answer, checks=CHECKS)

    send()


def _point_to_what_there_is(stage: Stage, case: Any) -> None:
    """Ids of the stage instead of generated ones."""
    if not isinstance(case.path_parameters, dict):
        return
    if case.method != "GET" and "server_id" in case.path_parameters:
        stage.renew()  # a request before may have deleted it
    case.path_parameters |= {name: value for name, value in stage.known.items() if name in case.path_parameters}


def test_the_requests_reached_the_handlers(stage: Stage) -> None:
    """After all of the above: a good part was accepted, so that answers of success were looked at too."""
    accepted = sum(count for status, count in stage.answered.items() if status < 300)
    assert not stage.answered or accepted > sum(stage.answered.values()) / 10, stage.answered
