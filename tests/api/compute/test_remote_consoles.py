# SPDX-License-Identifier: Apache-2.0
"""URLs of consoles: who gets which, what is kept of their tokens, and when these end."""

from __future__ import annotations

import datetime
import urllib.parse
from typing import Any

import pytest
import sqlalchemy as sa

from nova_lite import errors
from nova_lite.db.base import utcnow
from nova_lite.db.compute import consoles, servers
from nova_lite.db.compute.consoles import ConsoleToken
from nova_lite.rpc.compute import ConsoleAddress
from tests.support.api.compute_api import Answer, ComputeApi, settle

NOVNC = {"protocol": "vnc", "type": "novnc"}
SERIAL = {"protocol": "serial", "type": "serial"}


@pytest.fixture
def server_id(api: ComputeApi, server_id: str) -> str:
    api.rpc.answers["open_console"] = ConsoleAddress(host="192.0.2.9", port=4321)
    return server_id


def request(api: ComputeApi, server_id: str, console: dict[str, str], *, version: str = "2.6", **more: Any) -> Answer:
    return api.post(f"/servers/{server_id}/remote-consoles", {"remote_console": console}, version=version, **more)


def act(api: ComputeApi, server_id: str, word: str, kind: str, **more: Any) -> Answer:
    return api.post(f"/servers/{server_id}/action", {word: {"type": kind}}, **more)


def token_of(url: str) -> str:
    query = urllib.parse.parse_qs(urllib.parse.urlsplit(url).query)
    return query["path"][0].removeprefix("?token=") if "path" in query else query["token"][0]


def kept(api: ComputeApi) -> list[ConsoleToken]:
    return list(api.change(lambda session: list(session.scalars(sa.select(ConsoleToken)))))


def test_a_vnc_console_is_a_page_of_novnc_with_a_token(api: ComputeApi, server_id: str) -> None:
    answer = request(api, server_id, NOVNC)
    assert (answer.status, {**answer.body["remote_console"], "url": ""}) == (200, {**NOVNC, "url": ""})
    assert answer.body["remote_console"]["url"].startswith("http://127.0.0.1:6080/vnc_lite.html?path=%3Ftoken%3D")


def test_a_serial_console_is_a_websocket_with_a_token(api: ComputeApi, server_id: str) -> None:
    assert request(api, server_id, SERIAL).body["remote_console"]["url"].startswith("ws://127.0.0.1:6083/?token=")


def test_the_urls_are_those_that_the_operator_set(api: ComputeApi, server_id: str) -> None:
    api.conf.set_override("novncproxy_base_url", "https://cloud/vnc.html?autoconnect=1", group="vnc")
    api.conf.set_override("base_url", "wss://cloud/serial", group="serial_console")
    assert request(api, server_id, NOVNC).body["remote_console"]["url"].startswith(
        "https://cloud/vnc.html?autoconnect=1&path=%3Ftoken%3D")
    assert request(api, server_id, SERIAL).body["remote_console"]["url"].startswith("wss://cloud/serial?token=")


def test_the_worker_and_the_database_get_a_hash_of_the_token(api: ComputeApi, server_id: str) -> None:
    token = token_of(request(api, server_id, SERIAL).body["remote_console"]["url"])
    topic, host, method, arguments = api.rpc.sent[-1]
    assert (topic, host, method, arguments["token_hash"], arguments["ttl_s"]) == (
        "compute", "h1", "open_console", consoles.digest(token), 600)
    row = kept(api)[0]
    assert (row.token_hash, row.server_id, row.host, row.port) == (consoles.digest(token), server_id, "192.0.2.9", 4321)
    assert token not in repr(vars(row))


@pytest.mark.parametrize(("word", "kind", "status"), [
    ("os-getVNCConsole", "novnc", 200), ("os-getSerialConsole", "serial", 200), ("os-getVNCConsole", "xvpvnc", 400),
    ("os-getSPICEConsole", "spice-html5", 400), ("os-getRDPConsole", "rdp-html5", 400), ("os-getVNCConsole", "x", 400),
])
def test_the_actions_of_old_versions_answer_as_nova(
    api: ComputeApi, server_id: str, word: str, kind: str, status: int
) -> None:
    answer = act(api, server_id, word, kind)
    assert answer.status == status, answer.body
    assert status != 200 or answer.body["console"]["type"] == kind
    assert act(api, server_id, word, kind, version="2.6").status in (400, 404)


@pytest.mark.parametrize(("console", "version", "status"), [
    ({"protocol": "spice", "type": "spice-html5"}, "2.6", 400), ({"protocol": "rdp", "type": "rdp-html5"}, "2.6", 400),
    ({"protocol": "mks", "type": "webmks"}, "2.7", 400), ({"protocol": "mks", "type": "webmks"}, "2.8", 400),
    ({"protocol": "vnc", "type": "serial"}, "2.6", 400), ({"protocol": "vnc"}, "2.6", 400), (NOVNC, "2.5", 404),
])
def test_other_consoles_are_refused(
    api: ComputeApi, server_id: str, console: dict[str, str], version: str, status: int
) -> None:
    assert request(api, server_id, console, version=version).status == status


def test_a_console_that_is_switched_off_is_refused_with_what_there_is(api: ComputeApi, server_id: str) -> None:
    api.conf.set_override("enabled", False, group="vnc")
    answer = request(api, server_id, NOVNC)
    assert (answer.status, answer.body["badRequest"]["message"]) == (
        400, "Unavailable console type novnc. This cloud offers: serial")


def test_a_server_without_a_host_has_no_console(api: ComputeApi, server_id: str) -> None:
    settle(api, server_id, vm_state="building", host=None, agent=None)
    assert request(api, server_id, NOVNC).status == 409


def test_a_guest_that_is_off_is_refused_in_its_workers_words(api: ComputeApi, server_id: str) -> None:
    api.rpc.answers["open_console"] = errors.Conflict(reason="Instance is not ready: it is not running")
    assert request(api, server_id, NOVNC).status == 409
    assert kept(api) == []


def test_other_tenants_and_readers_open_nothing(api: ComputeApi, server_id: str) -> None:
    assert request(api, server_id, NOVNC, user="bob").status == 404
    assert request(api, server_id, NOVNC, user="reader").status == 403
    assert act(api, server_id, "os-getVNCConsole", "novnc", user="bob").status == 404


def test_an_operator_sees_what_a_token_opens(api: ComputeApi, server_id: str) -> None:
    token = token_of(request(api, server_id, SERIAL).body["remote_console"]["url"])
    shown = api.get(f"/os-console-auth-tokens/{token}", user="admin", version="2.31")
    assert shown.body == {"console": {
        "instance_uuid": server_id, "host": "192.0.2.9", "port": 4321, "internal_access_path": None}}
    assert api.get(f"/os-console-auth-tokens/{token}", user="admin", version="2.30").status == 401
    assert api.get(f"/os-console-auth-tokens/{token}", version="2.31").status == 403
    assert api.get(f"/os-console-auth-tokens/{token}x", user="admin", version="2.31").status == 404


def test_an_expired_token_opens_nothing_and_is_swept_by_the_next(api: ComputeApi, server_id: str) -> None:
    token = token_of(request(api, server_id, SERIAL).body["remote_console"]["url"])
    past = utcnow() - datetime.timedelta(seconds=1)
    api.change(lambda session: session.execute(sa.update(ConsoleToken).values(expires_at=past)))
    assert api.get(f"/os-console-auth-tokens/{token}", user="admin", version="2.31").status == 404
    request(api, server_id, SERIAL)
    assert len(kept(api)) == 1


@pytest.mark.parametrize("end", [
    lambda session, server_id: servers.mark_deleted(session, server_id),
    lambda session, server_id: servers.finish(session, server_id, "stop", power_state=4),
    lambda session, server_id: servers.sync_power(session, server_id, power_state=4, vm_state=servers.Vm.STOPPED),
], ids=["deleted", "stopped", "powered off by itself"])
def test_a_token_dies_with_its_guest(api: ComputeApi, server_id: str, end: Any) -> None:
    request(api, server_id, NOVNC)
    api.change(lambda session: end(session, server_id))
    assert kept(api) == []


def test_a_token_outlives_a_reboot(api: ComputeApi, server_id: str) -> None:
    request(api, server_id, NOVNC)
    api.change(lambda session: servers.finish(session, server_id, "reboot_hard", power_state=1))
    assert len(kept(api)) == 1


def test_a_project_has_so_many_urls_and_others_have_theirs(api: ComputeApi, server_id: str) -> None:
    """A refused one leaves nothing, neither here nor with the host; the newest of a server replace its oldest."""
    api.conf.set_override("max_tokens_per_project", 2, group="consoleauth")
    assert [request(api, server_id, NOVNC).status for _ in range(2)] == [200, 200]
    sent = len(api.rpc.sent)
    refused = act(api, server_id, "os-getVNCConsole", "novnc")
    assert (refused.status, len(kept(api)), len(api.rpc.sent)) == (403, 2, sent)
    assert "2 URLs of consoles of this project are valid" in refused.body["forbidden"]["message"]
    past = utcnow() - datetime.timedelta(seconds=1)
    api.change(lambda session: session.execute(sa.update(ConsoleToken).values(expires_at=past)))
    assert request(api, server_id, NOVNC).status == 200


def test_a_token_that_its_host_has_not_accepted_opens_nothing(api: ComputeApi, server_id: str) -> None:
    token = token_of(request(api, server_id, SERIAL).body["remote_console"]["url"])
    api.change(lambda session: session.execute(sa.update(ConsoleToken).values(port=0)))
    assert api.get(f"/os-console-auth-tokens/{token}", user="admin", version="2.31").status == 404
