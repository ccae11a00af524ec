# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of NICs that come to a guest and leave it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest

from nova_lite.rpc.compute import Guest, Nic
from tests.contract.test_compute_driver import Subject, subject  # noqa: F401 - the fixture


def macs(subject: Subject, guest: Guest) -> list[str]:  # noqa: F811
    """The guest's NICs, as the hypervisor has it now."""
    return list(subject.driver.guests.placement(guest).nics)


@pytest.fixture
def nic(subject: Subject) -> Iterator[Nic]:  # noqa: F811
    """A NIC whose bridge is there, as the network worker promises."""
    port_id = str(uuid.uuid4())
    bridge = f"bt-{port_id[:11]}"
    with subject.bridge(bridge):
        yield Nic(port_id=port_id, mac="fa:16:3e:00:00:07", tap=f"tap{port_id[:11]}", bridge=bridge, mtu=1450)


def test_a_running_guest_gets_a_nic_at_once_and_it_may_be_requested_twice(subject: Subject, nic: Nic) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.nics.attach(guest, nic)
    subject.driver.nics.attach(guest, nic)
    assert macs(subject, guest) == [nic.mac]
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    assert macs(subject, guest) == [nic.mac]


def test_a_guest_that_is_off_gets_and_loses_a_nic(subject: Subject, nic: Nic) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    subject.driver.nics.attach(guest, nic)
    assert macs(subject, guest) == [nic.mac]
    subject.driver.nics.detach(guest.server_id, nic, timeout_s=5)
    subject.driver.nics.detach(guest.server_id, nic, timeout_s=5)
    assert macs(subject, guest) == []


def test_what_a_running_guest_does_not_have_is_detached_already(subject: Subject, nic: Nic) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.nics.detach(guest.server_id, nic, timeout_s=5)
    assert macs(subject, guest) == []


def test_a_guest_that_is_not_there_loses_nothing(subject: Subject, nic: Nic) -> None:  # noqa: F811
    others = subject.driver.guests.list_ours()
    subject.driver.nics.detach(str(uuid.uuid4()), nic, timeout_s=5)
    assert subject.driver.guests.list_ours() == others
