# SPDX-License-Identifier: Apache-2.0
"""Bad input gets the right 4xx with a sentence that names what is wrong; nothing is written, nothing hangs."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
import webob

from nova_lite.runtime import tokens
from tests.support.api.paste_cloud import NEWEST, PasteCloud, Who

NOWHERE = "11111111-2222-4333-8444-555555555555"
ANSWERED_S = 5.0


class Stage:
    """Alice's cloud: a flavor, an image, a network."""

    def __init__(self, cloud: PasteCloud) -> None:
        self.cloud = cloud
        self.alice: Who = cloud.add_member("alice")
        token = self.alice.token
        self.flavor = cloud.made("/v2.1/flavors", {"flavor": {"name": "f", "ram": 64, "vcpus": 1, "disk": 1}},
                                 token=cloud.admin.token)["id"]
        self.image = cloud.made("/image/v2/images", {"name": "i", "disk_format": "raw", "container_format": "bare"}, token=token)["id"]
        cloud.request("PUT", f"/image/v2/images/{self.image}/file", b"bytes", token=token,
                  headers={"Content-Type": "application/octet-stream"})
        self.network = cloud.made("/network/v2.0/networks", {"network": {"name": "n"}}, token=token)["id"]
        cloud.made("/network/v2.0/subnets", {"subnet": {"network_id": self.network, "cidr": "10.1.0.0/24", "ip_version": 4}}, token=token)

    def server(self, **changes: Any) -> dict[str, Any]:
        good = {"name": "s", "flavorRef": self.flavor, "imageRef": self.image, "networks": [{"uuid": self.network}]}
        return {"server": {name: value for name, value in {**good, **changes}.items() if value is not ...}}


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    cloud = PasteCloud(tmp_path_factory.mktemp("bad-input"))
    yield Stage(cloud)
    cloud.close()


def refused(stage: Stage, method: str, path: str, body: Any = None, *, token: str | None = None,
            version: str = NEWEST, headers: dict[str, str] | None = None) -> tuple[int, str]:
    """The status and the sentence of a refusal that wrote nothing and came soon."""
    before, began = stage.cloud.rows(), time.monotonic()
    answer = stage.cloud.request(method, path, body, token=stage.alice.token if token is None else token, version=version,
                             headers=headers)
    assert time.monotonic() - began < ANSWERED_S
    assert 400 <= answer.status_int < 500, f"{answer.status_int} {answer.text}"
    assert stage.cloud.rows() == before
    if answer.content_type == "application/json":
        (fault,) = answer.json.values()
        assert fault.get("code", answer.status_int) == answer.status_int
        return answer.status_int, str(fault["message"])
    return answer.status_int, answer.text


def test_a_full_disk_is_named_and_what_fits_again_is_taken(stage: Stage) -> None:
    """SQLite's own limit of pages is what a full disk is to it."""
    body = {"name": "large", "disk_format": "raw", "container_format": "bare", "a": "x" * 30_000, "b": "y" * 30_000}

    def create() -> webob.Response:
        return stage.cloud.request("POST", "/image/v2/images", body, token=stage.alice.token)

    def limit(connection: sa.Connection) -> None:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def lift(connection: sa.Connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count = 1073741823")

    engine = stage.cloud.database.engine
    sa.event.listen(engine, "begin", limit)
    try:
        refused = [create() for _ in range(3)][-1]  # pages that are free are used first
    finally:
        sa.event.remove(engine, "begin", limit)
        sa.event.listen(engine, "begin", lift)
    try:
        assert (refused.status_int, refused.headers["Retry-After"]) == (503, "2")
        assert "The database has no space left" in refused.text
        assert create().status_int == 201
    finally:
        sa.event.remove(engine, "begin", lift)


def test_the_good_server_is_accepted(stage: Stage) -> None:
    """So that what is refused below is refused for its one flaw."""
    answer = stage.cloud.request("POST", "/v2.1/servers", stage.server(), token=stage.alice.token)
    assert answer.status_int == 202, answer.text


FLAWS: tuple[tuple[str, dict[str, Any], tuple[int, str]], ...] = (
    ("unknown flavor", {"flavorRef": "no-such"}, (400, "Flavor no-such could not be found")),
    ("unknown image", {"imageRef": NOWHERE}, (400, NOWHERE)),
    ("image that is no id", {"imageRef": "no-such"}, (400, "imageRef")),
    ("unknown network", {"networks": [{"uuid": NOWHERE}]}, (400, NOWHERE)),
    ("network that is no id", {"networks": [{"uuid": "net"}]}, (400, "networks")),
    ("unknown port", {"networks": [{"port": NOWHERE}]}, (400, NOWHERE)),
    ("networks of a wrong word", {"networks": "some"}, (400, "networks")),
    ("address outside the subnet", {"networks": [{"uuid": ..., "fixed_ip": "192.0.2.1"}]}, (400, "192.0.2.1")),
    ("unknown key", {"key_name": "no-such"}, (400, "key_name")),
    ("unknown security group", {"security_groups": [{"name": "no-such"}]}, (400, "no-such")),
    ("unknown zone", {"availability_zone": "no-such"}, (400, "availability zone")),
    ("oversize user data", {"user_data": base64.b64encode(b"x" * 65535).decode()}, (400, "user_data")),
    ("user data that is no base64", {"user_data": "###"}, (400, "user_data")),
    ("no name", {"name": ...}, (400, "name")),
    ("empty name", {"name": ""}, (400, "name")),
    ("name of a wrong type", {"name": 7}, (400, "name")),
    ("long name", {"name": "n" * 256}, (400, "name")),
    ("no flavor", {"flavorRef": ...}, (400, "flavorRef")),
    ("flavor of a wrong type", {"flavorRef": {"id": 1}}, (400, "flavorRef")),
    ("no networks", {"networks": ...}, (400, "networks")),
    ("unknown property", {"no_such": True}, (400, "no_such")),
    ("metadata of a wrong type", {"metadata": {"a": 1}}, (400, "metadata")),
    ("config drive of a wrong type", {"config_drive": "perhaps"}, (400, "config_drive")),
    ("count of a wrong type", {"min_count": "many"}, (400, "min_count")),
    ("count below one", {"max_count": 0}, (400, "max_count")),
    ("minimum above the maximum", {"min_count": 3, "max_count": 2}, (400, "min_count")),
    ("more than the quota", {"min_count": 100}, (403, "instances")),
    ("description of a wrong type", {"description": 1}, (400, "description")),
    ("tags of a wrong type", {"tags": [1]}, (400, "tags")),
)


@pytest.mark.parametrize(("changes", "expected"), [flaw[1:] for flaw in FLAWS], ids=[flaw[0] for flaw in FLAWS])
def test_a_server_with_one_flaw(stage: Stage, changes: dict[str, Any], expected: tuple[int, str]) -> None:
    networks = changes.get("networks")
    if isinstance(networks, list):
        changes = {**changes, "networks": [{key: stage.network if value is ... else value for key, value in one.items()} for one in networks]}
    status, text = refused(stage, "POST", "/v2.1/servers", stage.server(**changes))
    assert status == expected[0], text
    assert expected[1] in text


BODIES = (b"", b"{", b"[]", b"null", b'"server"', b"{}", b"\xff\xfe", b'{"server": null}', b'{"server": []}', b'{"servers": {}}',
          b'{"server": {"name": "' + b"\xc3\x28" + b'"}}', b"[" * 100_000, b'{"server": ' * 5_000, b'{"server": 1e999999}')
CREATES = ("/v2.1/servers", "/v2.1/os-keypairs", "/identity/v3/auth/tokens", "/image/v2/images", "/network/v2.0/networks",
           "/network/v2.0/subnets", "/network/v2.0/ports", "/network/v2.0/security-groups", "/network/v2.0/security-group-rules")


# An image of which nothing is known yet is a good one.
SENT = [(path, body) for path in CREATES for body in BODIES if (path, body) != ("/image/v2/images", b"{}")]


@pytest.mark.parametrize(("path", "body"), SENT, ids=[f"{path} {str(body[:24])}" for path, body in SENT])
def test_a_body_that_is_no_such_object(stage: Stage, path: str, body: bytes) -> None:
    assert refused(stage, "POST", path, body)[0] == 400


@pytest.mark.parametrize("text", [r"a\u0000b", r"\ud800", b"\xed\xa0\x80"], ids=["NUL", "half a pair", "half a pair in bytes"])
@pytest.mark.parametrize("path", CREATES)
def test_a_text_that_no_database_keeps(stage: Stage, path: str, text: str | bytes) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    status, said = refused(stage, "POST", path, b'{"server": {"metadata": {"odd": ["' + raw + b'"]}}}')
    assert (status, "server/metadata/odd/0" in said) == (400, True)
    assert refused(stage, "POST", path, b'{"' + raw + b'": 1}')[0] == 400


@pytest.mark.parametrize("address", [
    "/v2.1/os-keypairs/%00", "/v2.1/os-keypairs/%ff", "/v2.1/servers?name=%00", "/v2.1/servers/detail?name=a%ffb", "/v2.1/%c3%28",
    "/v2.1/servers%0A", "/identity/v3/users%0a", "/v2.1/servers/x%7F",
    "/identity/v3/users?name=%00", "/image/v2/images?name=%ff", "/network/v2.0/networks?name=%00"])
def test_an_address_that_is_no_text(stage: Stage, address: str) -> None:
    status, said = refused(stage, "GET", address)
    assert (status, any(word in said for word in ("UTF-8", "NUL", "control character"))) == (400, True)


@pytest.mark.parametrize("number", ["2147483648", "9" * 30, "9" * 5000], ids=["beyond a column", "beyond 64 bits", "5000 digits"])
@pytest.mark.parametrize(("method", "path", "version"), [
    ("GET", "/v2.1/servers?limit=", NEWEST), ("GET", "/v2.1/os-server-groups?offset=", NEWEST), ("GET", "/v2.1/flavors?minRam=", NEWEST),
    ("GET", "/v2.1/servers?power_state=", NEWEST), ("GET", "/v2.1/os-aggregates/", NEWEST), ("GET", "/v2.1/os-hypervisors/", "2.1"),
    ("DELETE", "/v2.1/os-services/", "2.1"), ("GET", "/v2.1/images?minDisk=", "2.1")])
def test_a_number_that_is_too_large(stage: Stage, method: str, path: str, version: str, number: str) -> None:
    status, said = refused(stage, method, path + number, token=stage.cloud.admin.token, version=version)
    assert (status, number[:9] in said) == (404 if "hypervisors" in path else 400, True)


@pytest.mark.parametrize(("method", "path", "body"), [
    ("GET", "/v2.1/servers?limit=", None), ("GET", "/v2.1/flavors?minRam=", None), ("GET", "/v2.1/os-aggregates/", None),
    ("GET", "/network/v2.0/networks?limit=", None), ("GET", "/network/v2.0/networks?mtu=", None), ("GET", "/image/v2/images?limit=", None),
    ("GET", "/image/v2/images?size_min=", None), ("POST", "/network/v2.0/networks", {"network": {"mtu": "\u0661\u0664\u0660\u0660"}}),
    ("PUT", "/network/v2.0/quotas/p", {"quota": {"port": "\u0663"}}), ("PUT", "/v2.1/os-quota-sets/p", {"quota_set": {"cores": "\u0663"}})])
def test_digits_of_other_scripts_are_no_number(stage: Stage, method: str, path: str, body: Any) -> None:
    """Python's int and isdecimal take them."""
    status, _ = refused(stage, method, path if body else f"{path}%D9%A3", body, token=stage.cloud.admin.token)
    assert status == 400


@pytest.mark.parametrize(("path", "body"), [
    ("/v2.1/os-quota-sets/p", {"quota_set": {"cores": ...}}), ("/v2.1/os-quota-class-sets/default", {"quota_class_set": {"cores": ...}})])
@pytest.mark.parametrize("number", [2**31, str(2**31), "9999999999"])
def test_a_quota_that_is_too_large(stage: Stage, path: str, body: dict[str, Any], number: int | str) -> None:
    [(key, _)] = body.items()
    status, said = refused(stage, "PUT", path, {key: {"cores": number}}, token=stage.cloud.admin.token)
    assert (status, "cores" in said) == (400, True)


@pytest.mark.parametrize("path", ["/v2.1/servers?tags=", "/network/v2.0/ports?tags-any=", "/image/v2/images?tag=", "/identity/v3/projects?tags="])
def test_a_filter_of_very_many_values(stage: Stage, path: str) -> None:
    values = ("&tag=" if path.endswith("?tag=") else ",").join(["a"] * 1500)
    status, said = refused(stage, "GET", path + values, token=stage.cloud.admin.token)
    assert (status, "too many" in said) == (400, True)


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-10:00"])
@pytest.mark.parametrize(("path", "version"), [
    ("/v2.1/servers?changes-since=", NEWEST), ("/v2.1/servers?changes-before=", NEWEST), ("/v2.1/images?changes-since=", "2.1"),
    ("/network/v2.0/networks?changed_since=", NEWEST), ("/image/v2/images?created_at=lt:", NEWEST)])
def test_a_time_that_is_none_in_utc(stage: Stage, path: str, version: str, time: str) -> None:
    assert refused(stage, "GET", path + time, version=version)[0] == 400


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-10:00"])
def test_an_end_that_is_no_time_in_utc(stage: Stage, time: str) -> None:
    path = f"/identity/v3/users/{stage.alice.user_id}/application_credentials"
    assert refused(stage, "POST", path, {"application_credential": {"name": "c", "expires_at": time}})[0] == 400


@pytest.mark.parametrize(("operator", "has_all"), [("", False), ("gt:", False), ("gte:", False), ("lt:", True), ("lte:", True), ("neq:", True)])
def test_the_last_second_of_the_calendar_is_a_time(stage: Stage, operator: str, has_all: bool) -> None:
    everything = stage.cloud.request("GET", "/image/v2/images", token=stage.alice.token).json["images"]
    answer = stage.cloud.request("GET", f"/image/v2/images?created_at={operator}9999-12-31T23:59:59Z", token=stage.alice.token)
    assert (answer.status_int, answer.json["images"]) == (200, everything if has_all else [])


@pytest.mark.parametrize("name", ["caf\u00e9", "\U0001f600", "\u202e", "\ufffd"])
def test_any_other_text_is_kept(stage: Stage, name: str) -> None:
    made = stage.cloud.made("/v2.1/servers", stage.server(description=name, metadata={"k": name}), token=stage.alice.token)
    shown = stage.cloud.request("GET", f"/v2.1/servers/{made['id']}", token=stage.alice.token).json["server"]
    assert (shown["description"], shown["metadata"]) == (name, {"k": name})


OTHERS: tuple[tuple[str, str, Any, tuple[int, str]], ...] = (
    ("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k", "type": "ssh", "public_key": "no key"}}, (400, "Keypair data is invalid")),
    ("POST", "/v2.1/os-keypairs", {"keypair": {"name": "k", "type": "rot13", "public_key": "no key"}}, (400, "type")),
    ("GET", "/v2.1/servers?limit=-1", None, (400, "limit")),
    ("GET", "/v2.1/servers?limit=many", None, (400, "limit")),
    ("GET", f"/v2.1/servers?marker={NOWHERE}", None, (400, NOWHERE)),
    ("GET", "/v2.1/servers?sort_key=no_such", None, (400, "sort_key")),
    ("GET", "/v2.1/servers?changes-since=yesterday", None, (400, "changes-since")),
    ("GET", f"/v2.1/servers/{NOWHERE}", None, (404, NOWHERE)),
    ("GET", "/v2.1/servers/no-such", None, (404, "no-such")),
    ("POST", f"/v2.1/servers/{NOWHERE}/action", {"os-start": None}, (404, NOWHERE)),
    ("POST", f"/v2.1/servers/{NOWHERE}/action", {"no-such": None}, (400, "no-such")),
    ("POST", f"/v2.1/servers/{NOWHERE}/action", {}, (400, "action")),
    ("POST", f"/v2.1/servers/{NOWHERE}/action", {"reboot": {"type": "WARM"}}, (400, "type")),
    ("GET", "/v2.1/no-such", None, (404, "")),
    ("PATCH", "/v2.1/servers", {}, (405, "")),
    ("DELETE", "/v2.1/servers/", None, (404, "an id is expected")),
    ("GET", "/image/v2/images/", None, (404, "an id is expected")), ("DELETE", "/image/v2/images/", None, (404, "an id is expected")),
    ("POST", "/network/v2.0/networks", {"network": {"no_such": 1}}, (400, "no_such")),
    ("POST", "/network/v2.0/networks", {"network": {"name": 7}}, (400, "name")),
    ("POST", "/network/v2.0/subnets", {"subnet": {"network_id": NOWHERE, "cidr": "10.2.0.0/24", "ip_version": 4}}, (404, NOWHERE)),
    ("POST", "/network/v2.0/subnets", {"subnet": {"network_id": "NET", "cidr": "10.2.0.0/33", "ip_version": 4}}, (400, "10.2.0.0/33")),
    ("POST", "/network/v2.0/subnets", {"subnet": {"network_id": "NET", "cidr": "10.1.0.128/25", "ip_version": 4}}, (400, "10.1.0.128/25")),
    ("POST", "/network/v2.0/ports", {"port": {"network_id": "NET", "fixed_ips": [{"ip_address": "192.0.2.1"}]}}, (400, "192.0.2.1")),
    ("POST", "/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": NOWHERE, "direction": "ingress"}}, (404, NOWHERE)),
    ("POST", "/network/v2.0/security-group-rules", {"security_group_rule": {
        "security_group_id": NOWHERE, "direction": "sideways"}}, (400, "direction")),
    ("POST", "/image/v2/images", {"name": "i", "disk_format": "floppy"}, (400, "disk_format")),
    ("POST", "/image/v2/images", {"name": "i", "min_ram": -1}, (400, "min_ram")),
    ("POST", "/network/v2.0/networks", {"network": {"mtu": 1e20}}, (400, "mtu")),
    ("POST", "/network/v2.0/networks", {"network": {"mtu": 1400.5}}, (400, "mtu")),
    ("GET", f"/image/v2/images/{NOWHERE}", None, (404, NOWHERE)),
    ("GET", "/image/v2/images?sort_key=no_such", None, (400, "no_such")),
)


@pytest.mark.parametrize(("method", "path", "body", "expected"), OTHERS, ids=[f"{one[1][:40]} {one[3]}" for one in OTHERS])
def test_another_flaw(stage: Stage, method: str, path: str, body: Any, expected: tuple[int, str]) -> None:
    if isinstance(body, dict):
        body = {key: {name: stage.network if value == "NET" else value for name, value in one.items()} if isinstance(one, dict) else one
                for key, one in body.items()}
    status, text = refused(stage, method, path, body)
    assert status == expected[0], text
    assert expected[1] in text


@pytest.mark.parametrize(("headers", "status"), [({"Content-Type": "text/plain"}, 415), ({"OpenStack-API-Version": "compute 9.9"}, 406),
                                                 ({"OpenStack-API-Version": "compute newest"}, 400),
                                                 ({"OpenStack-API-Version": f"compute 2.{'9' * 5000}"}, 400)])
def test_a_form_that_the_api_does_not_speak(stage: Stage, headers: dict[str, str], status: int) -> None:
    assert refused(stage, "POST", "/v2.1/servers", stage.server(), headers=headers)[0] == status


def tokens_that_are_not_valid(stage: Stage) -> dict[str, str]:
    """By what is wrong with them."""
    good = stage.alice.token
    revoked = stage.cloud.log_in("alice", "alice secret", "alice").token
    stage.cloud.request("DELETE", "/identity/v3/auth/tokens", token=stage.cloud.admin.token, headers={"X-Subject-Token": revoked})
    return {"none": "", "not ours": "no-token", "changed": good[:-4] + ("AAAA" if good[-4:] != "AAAA" else "BBBB"),
            "cut": good[:40], "long": "g" * 60_000, "revoked": revoked}


@pytest.mark.parametrize("flaw", ["none", "not ours", "changed", "cut", "long", "revoked"])
@pytest.mark.parametrize("path", ["/v2.1/servers", "/network/v2.0/networks", "/image/v2/images", "/identity/v3/auth/catalog"])
def test_a_token_that_is_not_valid(stage: Stage, path: str, flaw: str) -> None:
    token = tokens_that_are_not_valid(stage)[flaw]
    status, text = refused(stage, "GET", path, token=token)
    assert (status, "requires authentication" in text) == (401, True), text


@pytest.mark.parametrize(("hours_ago", "status"), [(0, 200), (24, 401)])
def test_a_token_expires(stage: Stage, hours_ago: int, status: int) -> None:
    known = tokens.open_tokens(stage.cloud.conf).read(stage.alice.token)
    then = known.issued_at - hours_ago * 3600
    issuer = tokens.Tokens(tokens.KeyRepository(tokens.directory_of(stage.cloud.conf)), lifetime_s=3600, clock=lambda: then)
    token, _ = issuer.issue(known.user_id, project_id=known.project_id, password_mark=known.password_mark)
    assert stage.cloud.request("GET", "/v2.1/servers", token=token).status_int == status


class Endless(io.RawIOBase):
    """A body of 100 MB that counts how much of it was read."""

    def __init__(self) -> None:
        self.left, self.taken = 100_000_000, 0

    def read(self, size: int = -1) -> bytes:
        size = min(size if size >= 0 else self.left, self.left)
        self.left -= size
        self.taken += size
        return b" " * size


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("path", CREATES)
def test_a_body_of_100_mb_is_refused_unread(stage: Stage, path: str, is_chunked: bool) -> None:
    body, before = Endless(), stage.cloud.rows()
    http = webob.Request.blank(path, method="POST", base_url="http://cloud", environ={"wsgi.input": body})
    http.headers.update({"X-Auth-Token": stage.alice.token, "Content-Type": "application/json"})
    http.headers.update({"Transfer-Encoding": "chunked"} if is_chunked else {"Content-Length": str(body.left)})
    answer = stage.cloud.send(http)
    assert answer.status_int == 413, answer.text
    assert "too large" in answer.text
    assert body.taken < 1_000_000
    assert stage.cloud.rows() == before


@pytest.mark.parametrize(("path", "allowed"), [
    ("/v2.1/servers", "GET, HEAD, POST"), ("/network/v2.0/agents", "GET, HEAD"), (f"/image/v2/images/{NOWHERE}/tags/t", "DELETE, PUT")])
def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(stage: Stage, path: str, allowed: str) -> None:
    answer = stage.cloud.request("PATCH", path, {}, token=stage.alice.token)
    assert (answer.status_int, answer.headers["Allow"]) == (405, allowed)


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
@pytest.mark.parametrize("path", ["/", "/identity", "/image", "/network", "/elsewhere"])
def test_the_versions_are_read_only(stage: Stage, method: str, path: str) -> None:
    answer = stage.cloud.request(method, path)
    assert (answer.status_int, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
    assert stage.cloud.request("GET", path).status_int in (200, 300)
