# SPDX-License-Identifier: Apache-2.0
"""A libvirtd that is there and does not answer: every request is answered, no server is lost, all goes on with it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.compute.virt.libvirt.connection import Connection, check_cancelled
from nova_lite.compute.virt.libvirt.events import DomainEvents
from tests.support import boot_sector
from tests.support.private_libvirt import private_libvirt
from tests.support.system.all_in_one import AllInOne
from tests.support.system.own_host import cloud_of_real_guests
from tests.support.wait import wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")
# Work that nobody waits for may wait for libvirt so long; longer than the tests keep it frozen, on a busy machine too.
OPTIONS = "[libvirt]\ncall_timeout = 400\n"
# 5 s, or 10 for a console, and a busy machine.
ANSWERED_S = 25


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("hung"), options=OPTIONS) as made:
        yield made


@pytest.fixture(scope="module")
def wanted(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    image = cloud.make_image(boot_sector.disk_file(tmp_path_factory.mktemp("image")), "raw")
    cloud.request("POST", "/v2.1/flavors", {"flavor": {"id": "77", "name": "small", "ram": 128, "vcpus": 1, "disk": 1}})
    return {"image": image, "network": cloud.make_network("n", "10.77.0.0/24"), "flavorRef": "77"}


def act(cloud: AllInOne, server_id: str, word: str, value: object = None) -> Any:
    return cloud.request("POST", f"/v2.1/servers/{server_id}/action", {word: value})


def nova_compute(cloud: AllInOne) -> dict[str, Any]:
    [service] = cloud.request("GET", "/v2.1/os-services?binary=nova-compute")["services"]
    return dict(service)


def is_well(cloud: AllInOne) -> bool:
    service = nova_compute(cloud)
    return (service["state"], service["status"], service["disabled_reason"]) == ("up", "enabled", None)


def console(cloud: AllInOne, server_id: str) -> str:
    return str(act(cloud, server_id, "os-getConsoleOutput", {})["output"])


def wait_until_booted(cloud: AllInOne, server_id: str) -> None:
    cloud.wait_for_status(server_id, "ACTIVE")
    cloud.wait(lambda: boot_sector.says(boots=1) in console(cloud, server_id), "the guest to have booted")


def refused(cloud: AllInOne, method: str, path: str, body: object = None) -> None:
    """The request is answered soon, and its answer says what is wrong."""
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"^5\d\d .*(libvirt has not answered for \d+ s|no connection to libvirt)"):
        cloud.request(method, path, body)
    assert time.monotonic() - began < ANSWERED_S


def test_nothing_hangs_with_libvirt_and_all_goes_on_with_it(cloud: AllInOne, wanted: dict[str, str]) -> None:
    runs, goes, stays, off = (cloud.boot(name, **wanted) for name in ("runs", "goes", "stays", "off"))
    for server_id in (runs, goes, stays, off):
        wait_until_booted(cloud, server_id)
    act(cloud, off, "os-stop")
    cloud.wait_for_status(off, "SHUTOFF")
    assert cloud.host is not None
    with cloud.host.frozen():
        act(cloud, runs, "os-stop")
        act(cloud, off, "os-start")
        cloud.request("DELETE", f"/v2.1/servers/{goes}")
        screen = {"remote_console": {"protocol": "vnc", "type": "novnc"}}
        refused(cloud, "GET", f"/v2.1/servers/{stays}/diagnostics")
        refused(cloud, "POST", f"/v2.1/servers/{stays}/remote-consoles", screen)
        refused(cloud, "POST", f"/v2.1/servers/{stays}/os-interface", {"interfaceAttachment": {"net_id": wanted["network"]}})
        assert boot_sector.says(boots=1) in console(cloud, stays)
        cloud.wait(lambda: nova_compute(cloud)["state"] == "down", "the host to be down")
        service = nova_compute(cloud)
        assert service["status"] == "disabled"
        assert service["disabled_reason"].startswith("AUTO: host ")
        assert "libvirt has not answered" in service["disabled_reason"]
        [hypervisor] = cloud.request("GET", "/v2.1/os-hypervisors/detail")["hypervisors"]
        assert (hypervisor["state"], hypervisor["status"]) == ("down", "disabled")
        assert hypervisor["service"]["disabled_reason"].startswith("AUTO: ")
        late = cloud.boot("late", **wanted)
        cloud.wait_for_status(late, "ERROR")
        fault = cloud.request("GET", f"/v2.1/servers/{late}")["server"]["fault"]["message"]
        assert "its hypervisor does not answer" in fault
        assert cloud.status(stays) == "ACTIVE"
    cloud.wait(lambda: is_well(cloud), "the host to be up again", seconds=30)
    cloud.wait_for_status(goes, "GONE")
    cloud.wait_for_status(runs, "SHUTOFF")
    cloud.wait_for_status(off, "ACTIVE")
    assert cloud.request("GET", f"/v2.1/servers/{stays}/diagnostics")["state"] == "running"
    names = cloud.host.run(["virsh", "-q", "list", "--state-running", "--name"]).stdout.split()
    assert len(names) == 2


def test_a_cloud_that_starts_while_libvirt_hangs_says_so(cloud: AllInOne, wanted: dict[str, str]) -> None:
    server_id = cloud.boot("before", **wanted)
    cloud.wait_for_status(server_id, "ACTIVE")
    assert cloud.host is not None
    cloud.kill()
    with cloud.host.frozen():
        cloud.start(needs_host=False)
        cloud.wait(lambda: nova_compute(cloud)["status"] == "disabled", "the host to be disabled")
        assert "no connection to libvirt" in nova_compute(cloud)["disabled_reason"]
        cloud.wait(lambda: nova_compute(cloud)["state"] == "down", "the host to be down")
        refused(cloud, "GET", f"/v2.1/servers/{server_id}/diagnostics")
        assert cloud.status(server_id) == "ACTIVE"
    cloud.wait(lambda: is_well(cloud), "the host to be up again", seconds=60)
    assert cloud.request("GET", f"/v2.1/servers/{server_id}/diagnostics")["state"] == "running"


@pytest.mark.timed
def test_what_was_given_up_does_not_happen_when_libvirt_goes_on(tmp_path: Path) -> None:
    """It may be done elsewhere by then: a guest must not run twice."""
    came: list[str] = []

    def work(conn: Any) -> None:
        conn.listAllDomains()
        came.append("looked")
        check_cancelled()
        came.append("changed")

    with private_libvirt(tmp_path) as libvirtd:
        connection = Connection(libvirtd.uri, host="h", timeout_s=60, events=DomainEvents())
        connection.open(on_connected=lambda: None)
        connection.run("look and change", work)
        assert came == ["looked", "changed"]
        with libvirtd.frozen():
            with pytest.raises(errors.HypervisorFailed, match="did not answer within 1 s"):
                connection.run("look and change", work, timeout_s=1)
            with pytest.raises(errors.HypervisorFailed, match="libvirt has not answered for"):
                connection.check("look")
            began = time.monotonic()
            with pytest.raises(errors.HypervisorFailed, match="libvirt has not answered for"):
                connection.check("look")
            assert time.monotonic() - began < 2  # the next caller need not wait again
        wait_until(lambda: came[2:] == ["looked"], "what was cut off to be looked at")
        connection.check("look")
        assert came == ["looked", "changed", "looked"]
        connection.close()
