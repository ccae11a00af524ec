# SPDX-License-Identifier: Apache-2.0
"""What every compute driver promises of copies of a guest's root disk."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest

from nova_lite import errors
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.worker import commands
from tests.contract.test_compute_driver import Subject, _nothing_left, subject  # noqa: F401 - fixtures
from tests.support.private_libvirt import missing


def take(subject: Subject, guest: Guest, tmp_path: Path) -> Path:  # noqa: F811
    """A copy of the guest as a file that qemu-img finds whole; nothing of it is left with the driver."""
    server_id = guest.server_id
    snapshot_id = str(uuid.uuid4())
    for _ in range(2):
        subject.driver.snapshots.take(guest, snapshot_id, check=lambda: None)
    copy = tmp_path / "copy.qcow2"
    with subject.driver.snapshots.open(server_id, snapshot_id) as source:
        copy.write_bytes(source.read())
    commands.run(["qemu-img", "check", "-q", str(copy)], timeout_s=10)
    assert "backing" not in commands.run(["qemu-img", "info", str(copy)], timeout_s=10)
    for _ in range(2):
        subject.driver.snapshots.remove(server_id, snapshot_id)
    with pytest.raises(errors.HypervisorFailed):
        subject.driver.snapshots.open(server_id, snapshot_id)
    return copy


@pytest.mark.parametrize("power", [Power.RUNNING, Power.PAUSED, Power.SHUTDOWN, Power.SUSPENDED])
def test_a_snapshot_is_whole_and_leaves_the_guest_as_it_was(subject: Subject, tmp_path: Path, power: Power) -> None:  # noqa: F811
    guest = subject.started()
    {
        Power.RUNNING: lambda: None, Power.PAUSED: lambda: subject.driver.power.pause(guest.server_id),
        Power.SHUTDOWN: lambda: subject.driver.power.stop(guest.server_id, timeout_s=0),
        Power.SUSPENDED: lambda: subject.driver.power.suspend(guest.server_id),
    }[power]()
    copy = take(subject, guest, tmp_path)
    assert subject.driver.power.state(guest.server_id) is power
    assert copy.stat().st_size > 0


@pytest.mark.skipif(bool(missing()), reason="needs libvirt")
def test_a_header_that_names_a_file_of_the_host_is_not_followed(subject: Subject, tmp_path: Path) -> None:  # noqa: F811
    """As if the guest's QEMU, taken over, had written it: neither by libvirt, which would let QEMU read the file, nor by a snapshot."""
    guest = subject.started()
    if not subject.driver.capabilities.keeps_disks:
        return
    subject.driver.power.stop(guest.server_id, timeout_s=0)
    secret, disk = tmp_path / "secret", subject.instances / guest.server_id / "disk"
    secret.write_bytes(b"S" * (1 << 20))
    secret.chmod(0o600)
    commands.run(["qemu-img", "rebase", "-u", "-F", "raw", "-b", str(secret), str(disk)], timeout_s=10)
    copy = take(subject, guest, tmp_path)
    commands.run(["qemu-img", "convert", "-O", "raw", str(copy), str(tmp_path / "raw")], timeout_s=10)
    assert b"S" not in (tmp_path / "raw").read_bytes()
    subject.driver.power.start(guest)
    pids = commands.run(["pgrep", "-f", f"^[^ ]*qemu-system.*{guest.server_id}"], timeout_s=10).split()
    opened = [os.readlink(link) for pid in pids for link in Path(f"/proc/{pid}/fd").iterdir() if link.is_symlink()]
    assert str(disk) in opened
    assert str(secret) not in opened
