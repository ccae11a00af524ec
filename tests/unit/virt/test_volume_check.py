# SPDX-License-Identifier: Apache-2.0
"""Storage is called before QEMU opens a volume: what does not answer, refuses or is described badly is an error with its reason."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.storage import volume_check
from nova_lite.compute.virt.libvirt.storage.volume_check import VolumeCheck
from nova_lite.values.guest_disk import VolumeConnection


@pytest.fixture
def check(tmp_path: Path) -> VolumeCheck:
    file = tmp_path / "nova.conf"
    file.write_text(f"[DEFAULT]\nhost = node1\nstate_path = {tmp_path}\n")
    return VolumeCheck(Environment(options.load([], files=[str(file)])))


def connected(kind: str, **data: Any) -> VolumeConnection:
    return VolumeConnection(attachment_id="a", volume_id="v", connection={"driver_volume_type": kind, "data": data})


@contextlib.contextmanager
def server() -> Iterator[str]:
    """A server's port that takes connections, and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(8)
        yield str(listening.getsockname()[1])


@pytest.fixture
def closed() -> str:
    """A port that nobody listens on."""
    with server() as port:
        return port


def test_one_monitor_of_a_ceph_cluster_is_enough(check: VolumeCheck, closed: str) -> None:
    with server() as port:
        check.volume(connected("rbd", hosts=["127.0.0.1", "127.0.0.1"], ports=[closed, port]))


@pytest.mark.parametrize("kind", ["rbd", "nfs"])
def test_storage_without_a_server_is_an_error(check: VolumeCheck, closed: str, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(volume_check, "_NFS_PORT", int(closed))
    servers: dict[str, dict[str, Any]] = {"rbd": {"hosts": ["127.0.0.1"], "ports": [closed]}, "nfs": {"export": "127.0.0.1:/srv"}}
    with pytest.raises(errors.HypervisorFailed, match=r"reach volume v.*Connection refused"):
        check.volume(connected(kind, **servers[kind]))


def test_an_nfs_server_that_answers_will_do(check: VolumeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    with server() as port:
        monkeypatch.setattr(volume_check, "_NFS_PORT", int(port))
        check.volume(connected("nfs", export="[127.0.0.1]:/srv"))


@pytest.mark.parametrize("kind", ["iscsi", "rbd", "nfs"])
def test_an_incomplete_connection_is_an_error(check: VolumeCheck, kind: str) -> None:
    with pytest.raises(errors.HypervisorFailed, match="its connection is incomplete"):
        check.volume(connected(kind))


@pytest.mark.parametrize("kind", ["local", "fake"])
def test_what_is_on_no_network_is_not_called(check: VolumeCheck, kind: str) -> None:
    check.volume(connected(kind))


@pytest.mark.skipif(not shutil.which("qemu-img"), reason="not here: qemu-img")
def test_a_target_that_is_silent_is_given_up(check: VolumeCheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(volume_check, "_ANSWER_S", 0.5)
    with server() as port, pytest.raises(errors.HypervisorFailed, match="reach volume v.*qemu-img"):
        check.volume(connected("iscsi", target_portal=f"127.0.0.1:{port}", target_iqn="iqn.x:v", target_lun=1, auth_username="u", auth_password="s3cret"))
