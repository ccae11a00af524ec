# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of a guest's inside: what it uses, an NMI, a password."""

from __future__ import annotations

import pytest

from nova_lite import errors
from tests.contract.test_compute_driver import Subject, _nothing_left, _soon, subject  # noqa: F401 - fixtures


def test_diagnostics_count_what_the_guest_has(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    assert _soon(lambda: sum(subject.driver.guests.diagnostics(guest).cpu_times_ns) > 0), "it never ran"
    assert _soon(lambda: subject.driver.guests.diagnostics(guest).disks[0].read_requests > 0), "it never looked for a system"
    seen = subject.driver.guests.diagnostics(guest)
    assert (seen.driver, seen.config_drive, seen.memory_maximum_mb) == ("libvirt", guest.config_drive, guest.ram_mb)
    assert len(seen.cpu_times_ns) == guest.vcpus
    assert seen.disks[0].name == "vda"
    assert [nic.mac for nic in seen.nics] == [nic.mac for nic in guest.nics]
    assert seen.memory["actual"] == guest.ram_mb << 10


def test_a_guest_that_is_off_has_no_diagnostics_of_running(subject: Subject) -> None:  # noqa: F811
    guest = subject.guest()
    with pytest.raises(errors.HypervisorFailed):
        subject.driver.guests.diagnostics(guest)


def test_a_running_guest_takes_an_nmi(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.power.trigger_crash_dump(guest.server_id)
    assert guest.server_id in subject.driver.guests.list_ours()


def test_a_guest_that_is_off_takes_no_nmi(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    with pytest.raises(errors.HypervisorFailed, match="not running"):
        subject.driver.power.trigger_crash_dump(guest.server_id)


def test_a_password_needs_an_agent_in_the_guest(subject: Subject) -> None:  # noqa: F811
    guest = subject.started()
    if not subject.driver.capabilities.needs_guest_agent:
        subject.driver.guests.set_password(guest.server_id, user="root", password="x")  # no secret
        assert "password of root" in subject.driver.consoles.output(guest.server_id)
        return
    with pytest.raises(errors.HypervisorFailed, match="agent"):
        subject.driver.guests.set_password(guest.server_id, user="root", password="x")  # no secret
