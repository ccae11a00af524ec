# SPDX-License-Identifier: Apache-2.0
"""Catalog, services, endpoints, regions and roles of the identity service."""

from __future__ import annotations

import pytest

from tests.support.api.identity_cloud import IdentityCloud

TYPES = {"identity", "compute", "image", "network", "block-storage", "volumev3"}


def test_the_catalog_is_that_of_the_token(cloud: IdentityCloud, mallory: str) -> None:
    shown = cloud.call("GET", "/auth/catalog", token=mallory)
    assert shown.status_int == 200
    with_token = cloud.log_in("mallory", "mallory secret", project="blue").json["token"]["catalog"]
    assert shown.json["catalog"] == with_token
    assert {service["type"] for service in with_token} == TYPES
    assert all({endpoint["interface"] for endpoint in service["endpoints"]} == {"public", "internal", "admin"}
               for service in with_token)
    assert shown.json["links"]["self"].endswith("/identity/v3/auth/catalog")
    assert cloud.call("GET", "/auth/catalog").status_int == 401


def test_no_token_can_be_scoped_to_a_domain(cloud: IdentityCloud, mallory: str) -> None:
    shown = cloud.call("GET", "/auth/domains", token=mallory)
    assert (shown.status_int, shown.json["domains"]) == (200, [])
    assert shown.json["links"]["self"].endswith("/identity/v3/auth/domains")


@pytest.mark.parametrize(("plural", "singular"), [("services", "service"), ("endpoints", "endpoint"), ("roles", "role")])
def test_listed_resources_are_shown_to_admins_only(
    cloud: IdentityCloud, admin: str, mallory: str, plural: str, singular: str
) -> None:
    listed = cloud.call("GET", f"/{plural}", token=admin).json[plural]
    assert listed
    for one in listed:
        path = f"/{plural}/{one['id']}"
        assert cloud.call("GET", path, token=admin).json == {singular: one}
        assert one["links"]["self"].endswith(f"/identity/v3{path}")
        assert cloud.call("GET", path, token=mallory).status_int == 403


def test_services_and_endpoints_are_shown_as_in_the_catalog(cloud: IdentityCloud, admin: str) -> None:
    for service in cloud.call("GET", "/auth/catalog", token=admin).json["catalog"]:
        shown = cloud.call("GET", f"/services/{service['id']}", token=admin).json["service"]
        assert (shown["name"], shown["type"], shown["enabled"]) == (service["name"], service["type"], True)
        for endpoint in service["endpoints"]:
            found = cloud.call("GET", f"/endpoints/{endpoint['id']}", token=admin).json["endpoint"]
            assert {name: found[name] for name in endpoint if name != "url"} == {name: endpoint[name] for name in endpoint if name != "url"}
            assert found["url"].partition("$(project_id)s")[0] in endpoint["url"]
            assert found["service_id"] == service["id"]


def test_a_role_is_created_shown_and_deleted(cloud: IdentityCloud, admin: str) -> None:
    made = cloud.call("POST", "/roles", {"role": {"name": "looker", "description": "looks"}}, token=admin).json["role"]
    shown = cloud.call("GET", f"/roles/{made['id']}", token=admin).json["role"]
    assert (shown["name"], shown["description"], shown["domain_id"]) == ("looker", "looks", None)
    assert cloud.call("DELETE", f"/roles/{made['id']}", token=admin).status_int == 204
    assert cloud.call("GET", f"/roles/{made['id']}", token=admin).status_int == 404


def test_the_region_is_that_of_the_endpoints(cloud: IdentityCloud, mallory: str) -> None:
    listed = cloud.call("GET", "/regions", token=mallory)
    assert listed.status_int == 200
    (region,) = listed.json["regions"]
    assert (region["id"], region["parent_region_id"]) == (cloud.conf.api.region, None)
    assert cloud.call("GET", f"/regions/{region['id']}", token=mallory).json == {"region": region}
    catalog = cloud.call("GET", "/auth/catalog", token=mallory).json["catalog"]
    assert {endpoint["region_id"] for service in catalog for endpoint in service["endpoints"]} == {region["id"]}


@pytest.mark.parametrize("path", ["/services/none", "/endpoints/none", "/regions/none", "/roles/none"])
def test_unknown_resources_are_answered_404(cloud: IdentityCloud, admin: str, path: str) -> None:
    refused = cloud.call("GET", path, token=admin)
    assert (refused.status_int, refused.json["error"]["code"]) == (404, 404)
