# SPDX-License-Identifier: Apache-2.0
"""Tokens of a real Keystone that have no project (for a domain, or the system) act for nobody's project."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import webob

from nova_lite.api.services import SERVICES
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.filters.auth import KeystoneHeaders
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.request import Parts
from nova_lite.api.wsgi.routing import Route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, PUBLIC
from nova_lite.db.network.ports import Port
from tests.support.api import compute_api
from tests.support.api.compute_api import NETWORK, ComputeApi

OWNED = [(name, route) for name in ("compute", "image", "network", "volume") for route in SERVICES[name].routes
         if route.policy is not PUBLIC and route.policy.role != ADMIN
         and not (route.policy.role == ANYONE and route.method == "GET")]


class Domain:
    """Sends requests as auth_token passes them on for a domain-scoped token of a member, or of another role."""

    def __init__(self, api: ComputeApi) -> None:
        self._apps = {
            name: KeystoneHeaders(Application(service, Parts(api.conf, api.database, api.rpc), Policy(api.conf, service.rules)),  # type: ignore[arg-type]
                                  identity_url="http://keystone")
            for name, service in SERVICES.items()}

    def request(self, service: str, method: str, path: str, body: Any = None, *, roles: str = "member", version: str = "2.1") -> webob.Response:
        http = webob.Request.blank(path, method=method, base_url="http://cloud/root")
        if body is not None:
            http.json = body
        http.headers["OpenStack-API-Version"] = f"{service} {version}"
        http.headers["X-Auth-Token"] = "a keystone token"
        http.environ |= {"HTTP_X_IDENTITY_STATUS": "Confirmed", "HTTP_X_USER_ID": "eve", "HTTP_X_ROLES": roles,
                         "HTTP_X_PROJECT_ID": None, "HTTP_X_DOMAIN_ID": "default"}
        return http.get_response(self._apps[service])


@pytest.fixture(scope="module")
def domain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Domain]:
    api = compute_api.furnish(compute_api.make(tmp_path_factory.mktemp("domain")))
    api.add(Port(id=PLUG, project_id="", network_id=NETWORK, mac_address="fa:16:3e:00:00:01", device_owner="network:floatingip"))
    yield Domain(api)
    api.database.close()


PLUG = str(uuid.uuid4())


@pytest.mark.parametrize(("service", "route"), OWNED, ids=[f"{name} {route.method} {route.path} {route.action or ''}" for name, route in OWNED])
def test_a_token_without_a_project_is_refused(domain: Domain, service: str, route: Route) -> None:
    path = re.sub(r"{\w+}", PLUG, route.path)
    body = {route.action: None} if route.action else {} if route.schemas else None
    version = max("3.0" if service == "volume" else "2.1", str(route.versions.since), key=lambda text: [int(part) for part in text.split(".")])
    assert domain.request(service, route.method, path, body, version=version).status_int == 403


def test_the_clouds_own_ports_belong_to_no_token(domain: Domain) -> None:
    assert domain.request("network", "GET", f"/ports/{PLUG}").status_int == 403
    assert domain.request("network", "GET", "/ports").status_int == 403
    change = {"port": {"fixed_ips": [{"ip_address": "10.0.0.200"}]}}
    assert domain.request("network", "PUT", f"/ports/{PLUG}", change).status_int == 403


def test_nothing_is_made_for_no_project(domain: Domain) -> None:
    assert domain.request("network", "POST", "/networks", {"network": {"name": "n"}}, roles="admin").status_int == 403
    assert domain.request("image", "POST", "/images", {"name": "i"}, roles="admin").status_int == 403


def test_what_has_no_owner_is_served(domain: Domain) -> None:
    assert domain.request("compute", "GET", "/extensions").status_int == 200
    assert domain.request("compute", "GET", "/os-hypervisors", roles="admin").status_int == 200
    assert domain.request("compute", "GET", "/os-hypervisors").status_int == 403
