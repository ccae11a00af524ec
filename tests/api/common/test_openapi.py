# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI documents: valid at every version, of all routes, found from the version document without a token."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import NoReturn, get_type_hints

import jsonschema
import openapi_spec_validator
import pytest
import webob

from nova_lite.api.compute.microversions import HISTORY
from nova_lite.api.services import SERVICES
from nova_lite.api.volume.microversions import HISTORY as VOLUME_HISTORY
from nova_lite.api.wsgi import openapi
from nova_lite.api.wsgi.request import Body, Deferred, Reply
from nova_lite.api.wsgi.service import UNVERSIONED, ApiService
from nova_lite.api.wsgi.versions import Version, parse
from tests.support.api import declared_responses
from tests.support.api.paste_cloud import PasteCloud
from tests.support.paths import ROOT

LINK = {"type": "object", "properties": {"href": {"type": "string"}, "rel": {"type": "string"}, "type": {"type": "string"}},
        "required": ["href", "rel"], "additionalProperties": False}  # as clients' own schemas have it


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PasteCloud]:
    made = PasteCloud(tmp_path_factory.mktemp("openapi"))
    yield made
    made.close()


@pytest.mark.parametrize("service", SERVICES)
def test_a_services_document_is_openapi(service: str) -> None:
    negotiation = SERVICES[service].negotiation
    for version in (negotiation.minimum, negotiation.maximum) if negotiation else (UNVERSIONED,):
        document = openapi.document(SERVICES[service], version, "http://cloud/x")
        openapi_spec_validator.validate(document)
        assert document["paths"]


@pytest.mark.parametrize("version", [version for version, _ in HISTORY])
def test_a_versions_document_has_its_routes_and_no_others(version: str) -> None:
    document = openapi.document(SERVICES["compute"], parse(version), "")
    listed = {(path, method.upper(), rule.get("action")) for path, entry in document["paths"].items()
            for method, operation in entry.items() if method != "parameters" for rule in operation["x-nova-lite"]}
    assert listed == {(route.path, route.method, route.action) for route in SERVICES["compute"].routes
                    if route.versions.holds(parse(version))}


def test_the_document_is_linked_and_needs_no_token(cloud: PasteCloud) -> None:
    links = cloud.request("GET", "/v2.1/").json["version"]["links"]
    jsonschema.validate(links, {"type": "array", "items": LINK})
    found = next(link for link in links if link["rel"] == "service-desc")
    answer = cloud.request("GET", found["href"].removeprefix("http://cloud"))
    assert answer.json["openapi"] == "3.1.0"
    assert answer.json["servers"] == [{"url": "http://cloud/v2.1"}]


def test_the_document_is_of_the_requested_version_or_the_newest(cloud: PasteCloud) -> None:
    assert cloud.request("GET", "/v2.1/openapi.json", version="2.37").json["info"]["version"] == "2.37"
    plain = cloud.send(webob.Request.blank("/v2.1/openapi.json", base_url="http://cloud"))
    negotiation = SERVICES["compute"].negotiation
    assert negotiation is not None
    assert plain.json["info"]["version"] == str(negotiation.maximum)


def test_a_document_is_made_once_and_names_the_host_of_each_request(
    cloud: PasteCloud, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    make, made = openapi.document, []

    def counted(service: ApiService, version: Version, url: str) -> Body:
        made.append(str(version))
        return make(service, version, url)

    monkeypatch.setattr(openapi, "document", counted)
    cloud.conf.set_override("public_url", "", group="api")
    request.addfinalizer(functools.partial(cloud.conf.clear_override, "public_url", group="api"))

    def fetch(host: str, version: str) -> webob.Response:
        headers = {"OpenStack-API-Version": f"compute {version}"}
        return cloud.send(webob.Request.blank("/v2.1/openapi.json", base_url=f"http://{host}", headers=headers))

    for host in ("one.example", "two.example:8774", "[::1]:8774"):
        answer = fetch(host, "2.41")
        assert (answer.json["servers"], answer.json["info"]["version"]) == ([{"url": f"http://{host}/v2.1"}], "2.41")
    assert made == ["2.41"]
    for minor in range(42, 60):  # more than are kept
        assert fetch("cloud", f"2.{minor}").json["info"]["version"] == f"2.{minor}"
    assert fetch("cloud", "2.41").json["info"]["version"] == "2.41"
    assert made == [f"2.{minor}" for minor in (*range(41, 60), 41)]


def test_the_other_services_have_one_too(cloud: PasteCloud) -> None:
    for root in ("/identity/v3", "/image/v2", "/network/v2.0", "/volume/v3"):
        assert cloud.request("GET", f"{root}/openapi.json").json["openapi"] == "3.1.0"


@pytest.mark.parametrize("version", [version for version, _ in (*HISTORY, *VOLUME_HISTORY)])
def test_every_route_with_a_response_declares_it(version: str) -> None:
    """By the return type of its handler: None, or NoReturn."""
    service = "volume" if version.startswith("3.") else "compute"
    undeclared = {f"{route.method} {route.path} {route.action or ''}" for route in SERVICES[service].routes
              if route.versions.holds(parse(version)) and route.status not in (204, 410)
              and get_type_hints(route.handler)["return"] not in (type(None), NoReturn, Reply, Deferred[None])
              and route.response_for(parse(version)) is None}
    assert undeclared == set()


@pytest.mark.parametrize("service", ["identity", "image", "network"])
def test_every_route_without_microversions_declares_its_response(service: str) -> None:
    """By the handler's return type: a body, or a Reply in JSON."""
    undeclared = {f"{route.method} {route.path}" for route in SERVICES[service].routes
                  if get_type_hints(route.handler)["return"] in (Body, Reply) and not route.responses}
    assert undeclared - {"GET /images/{image_id}/file"} == set()


def test_the_command_prints_it() -> None:
    run = subprocess.run([sys.executable, "-W", "ignore", ROOT / "tools" / "openapi", "--version", "2.50"], capture_output=True,
                         text=True, timeout=60, check=True, env={"PYTHONPATH": str(ROOT)})
    assert json.loads(run.stdout)["info"]["version"] == "2.50"


@pytest.mark.parametrize(("path", "body"), [
    ("/servers/x/tags", {"tags": ["a"], "more": 1}), ("/servers/x/tags", {"tags": [1]}), ("/servers/x/tags", {}), ("/limits", None)])
def test_a_response_that_is_not_as_declared_fails_the_test_that_received_it(path: str, body: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        declared_responses.check("compute", "GET", path, None, "2.104", body)
    with pytest.raises(AssertionError, match="no response is declared"):
        declared_responses.check("compute", "POST", "/servers/x/action", {"os-start": None}, "2.1", {"a": "b"})


@pytest.mark.parametrize(("service", "path", "content"), [
    ("identity", "/regions", {"regions": []}), ("image", "/images/x/tasks", {"tasks": [{}]}),
    ("network", "/networks", {"networks": [{"name": 1}]}), ("network", "/extensions/agent", {"extension": {"alias": "agent"}})])
def test_a_response_that_differs_from_its_declaration_is_refused_in_every_service(service: str, path: str, content: object) -> None:
    with pytest.raises(jsonschema.ValidationError):
        declared_responses.check(service, "GET", path, None, "2.0", content)
