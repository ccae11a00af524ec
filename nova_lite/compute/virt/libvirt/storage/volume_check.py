# SPDX-License-Identifier: Apache-2.0
"""Checks that a volume's storage answers before QEMU opens it: QEMU connects in its main loop, so that meanwhile the guest stands still."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Sequence

from nova_lite import errors
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.storage import volume_secrets
from nova_lite.compute.virt.libvirt.xml.volume_sources import address_of
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import VolumeConnection
from nova_lite.worker import commands, qemu_img

# A target that works answers in 0.1 s; so long may one take that a busy host has.
_ANSWER_S = 15.0
_NFS_PORT = 2049


class VolumeCheck:
    """Opens volumes of the network as QEMU will, in a process of its own."""

    def __init__(self, env: Environment) -> None:
        self._env = env

    def guest(self, guest: Guest) -> None:
        """As `volume`, for each that the guest has."""
        for disk in guest_disk.volumes(guest.disks).values():
            if disk.volume:
                self.volume(disk.volume)

    def volume(self, volume: VolumeConnection) -> None:
        """:raises errors.HypervisorFailed: the storage does not answer in time, or refuses."""
        try:
            if volume.type == "iscsi":
                self._log_in(volume)
            elif volume.type == "rbd":
                _connect([(str(host), int(port)) for host, port in zip(volume.data["hosts"], volume.data["ports"], strict=True)])
            elif volume.type == "nfs":
                _connect([(str(volume.data["export"]).rpartition(":")[0].strip("[]"), _NFS_PORT)])
        except commands.CommandFailed as error:
            raise self._unreachable(volume, error) from error
        except OSError as error:
            raise self._unreachable(volume, error.strerror or error) from error
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreachable(volume, f"its connection is incomplete: {error}") from error

    def _log_in(self, volume: VolumeConnection) -> None:
        data = volume.data
        host, port = address_of(str(data["target_portal"]))
        target = {
            "portal": f"[{host}]:{port}" if ":" in host else f"{host}:{port}", "target": str(data["target_iqn"]),
            "lun": int(data["target_lun"]), "initiator-name": guest_disk.initiator_name(self._env.host)}
        password = volume_secrets.password(volume)
        if password is not None:
            target["user"] = str(data["auth_username"])
        qemu_img.log_in(target, password=password, timeout_s=_ANSWER_S)

    def _unreachable(self, volume: VolumeConnection, reason: object) -> errors.HypervisorFailed:
        return self._env.failed(f"reach volume {volume.volume_id}", reason)


def _connect(servers: Sequence[tuple[str, int]]) -> None:
    """:raises OSError: none of the servers lets itself be connected to."""
    for number, server in enumerate(servers, start=1):
        with contextlib.ExitStack() as suppressed:
            if number < len(servers):
                suppressed.enter_context(contextlib.suppress(OSError))
            socket.create_connection(server, timeout=_ANSWER_S).close()
            return
