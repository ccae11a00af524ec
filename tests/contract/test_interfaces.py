# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of NICs that come to a guest and leave it."""

from __future__ import annotations

import subprocess
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from typing import Any

import pytest

from nova_lite.compute.virt.fake.driver import FakeDriver
from nova_lite.compute.virt.libvirt.driver import LibvirtDriver
from nova_lite.rpc.compute import Nic
from tests.contract.test_compute_driver import Subject, subject  # noqa: F401 - the fixture


def macs(subject: Subject, server_id: str) -> list[list[str]]:  # noqa: F811
    """The guest's NICs: as it runs, and as it is kept."""
    driver = subject.driver
    if isinstance(driver, FakeDriver):
        return [[nic.mac for nic in driver.nics(server_id)]] * 2
    assert isinstance(driver, LibvirtDriver)

    def read(conn: Any) -> list[list[str]]:
        domain = conn.lookupByUUIDString(server_id)
        texts = [domain.XMLDesc(0), domain.XMLDesc(2)]
        return [[str(found.get("address")) for found in ET.fromstring(text).iterfind("devices/interface/mac")]
                for text in texts]

    return driver._libvirt.run("look", read)


@pytest.fixture
def nic(subject: Subject) -> Iterator[Nic]:  # noqa: F811
    """A NIC whose bridge is there, as the network worker promises."""
    port_id = str(uuid.uuid4())
    made = Nic(port_id=port_id, mac="fa:16:3e:00:00:07", tap=f"tap{port_id[:11]}", bridge=f"bt-{port_id[:11]}", mtu=1450)
    if isinstance(subject.driver, FakeDriver):
        yield made
        return
    subprocess.run(["ip", "link", "add", made.bridge, "type", "bridge"], check=True, timeout=10)
    yield made
    subprocess.run(["ip", "link", "del", made.bridge], check=True, timeout=10)


def test_a_running_guest_gets_a_nic_at_once_and_it_may_be_requested_twice(subject: Subject, nic: Nic) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.attach_interface(guest, nic)
    subject.driver.attach_interface(guest, nic)
    assert macs(subject, guest.server_id) == [[nic.mac], [nic.mac]]


def test_a_guest_that_is_off_gets_and_loses_a_nic(subject: Subject, nic: Nic) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.stop(guest.server_id, timeout_s=0)
    subject.driver.attach_interface(guest, nic)
    assert macs(subject, guest.server_id)[1] == [nic.mac]
    subject.driver.detach_interface(guest.server_id, nic, timeout_s=5)
    subject.driver.detach_interface(guest.server_id, nic, timeout_s=5)
    assert macs(subject, guest.server_id)[1] == []


def test_what_a_running_guest_does_not_have_is_detached_already(subject: Subject, nic: Nic) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.detach_interface(guest.server_id, nic, timeout_s=5)
    assert macs(subject, guest.server_id) == [[], []]


def test_a_guest_that_is_not_there_loses_nothing(subject: Subject, nic: Nic) -> None:  # noqa: F811
    others = subject.driver.list_ours()
    subject.driver.detach_interface(str(uuid.uuid4()), nic, timeout_s=5)
    assert subject.driver.list_ours() == others
