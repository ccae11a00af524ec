# SPDX-License-Identifier: Apache-2.0
"""The Block Storage API's version documents, its microversions and how faults look."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.api.paste_cloud import PasteCloud
from tests.support.api.users import PROJECTS
from tests.support.api.volume_api import VolumeApi


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PasteCloud]:
    made = PasteCloud(tmp_path_factory.mktemp("versions"))
    yield made
    made.close()


@pytest.mark.parametrize(("path", "status"), [("/volume", 300), ("/volume/", 300), ("/volume/v3", 200), ("/volume/v3/", 200)])
def test_the_versions_are_shown_without_a_token(cloud: PasteCloud, path: str, status: int) -> None:
    answer = cloud.request("GET", path)
    assert answer.status_int == status
    (version,) = answer.json["versions"]
    assert (version["id"], version["status"], version["min_version"], version["version"]) == ("v3.0", "CURRENT", "3.0", "3.71")
    assert {"rel": "self", "href": "http://cloud/volume/v3/"} in version["links"]


def test_the_openapi_document_is_where_the_version_document_says(cloud: PasteCloud) -> None:
    (version,) = cloud.request("GET", "/volume/v3/").json["versions"]
    found = next(link["href"] for link in version["links"] if link["rel"] == "service-desc")
    assert cloud.request("GET", found.removeprefix("http://cloud")).json["servers"] == [{"url": "http://cloud/volume/v3"}]


def test_the_catalogs_endpoint_leads_to_the_api(cloud: PasteCloud) -> None:
    catalog = cloud.request("GET", "/identity/v3/auth/catalog", token=cloud.admin.token).json["catalog"]
    urls = {service["type"]: service["endpoints"][0]["url"] for service in catalog if service["type"] in ("block-storage", "volumev3")}
    assert set(urls.values()) == {f"http://cloud/volume/v3/{cloud.admin.project_id}"}
    answer = cloud.request("GET", f"{urls['volumev3'].removeprefix('http://cloud')}/nothing", token=cloud.admin.token)
    assert (answer.status_int, list(answer.json)) == (404, ["itemNotFound"])


@pytest.mark.parametrize(("requested", "status", "answered"), [
    ("3.0", 404, "3.0"), ("3.71", 404, "3.71"), ("latest", 404, "3.71"), ("3.72", 406, "3.0"), ("4.0", 406, "3.0"), ("x", 400, "3.0")])
def test_the_microversion_is_negotiated_by_the_header(cloud: PasteCloud, requested: str, status: int, answered: str) -> None:
    answer = cloud.request("GET", "/volume/v3/nothing", token=cloud.admin.token,
                           headers={"OpenStack-API-Version": f"compute 2.1, volume {requested}"})
    assert answer.status_int == status
    assert answer.headers["OpenStack-API-Version"] == f"volume {answered}"
    assert "OpenStack-API-Version" in answer.headers["Vary"]


def test_a_response_has_the_request_id_by_both_names(cloud: PasteCloud) -> None:
    answer = cloud.request("GET", "/volume/v3/nothing", token=cloud.admin.token)
    assert answer.headers["x-compute-request-id"] == answer.headers["x-openstack-request-id"]


def test_a_path_that_ends_where_an_id_is_expected_is_not_found(api: VolumeApi) -> None:
    answer = api.get(f"/{PROJECTS['alice']}/volumes/")
    assert (answer.status, answer.body["itemNotFound"]["code"]) == (404, 404)
