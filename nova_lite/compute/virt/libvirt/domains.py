# SPDX-License-Identifier: Apache-2.0
"""The domains of this worker's guests: found by UUID, checked by their metadata to be its own, defined, powered off."""

from __future__ import annotations

import threading
import xml.etree.ElementTree as ET
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt

from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.libvirt.connection import Connection, check_cancelled
from nova_lite.compute.virt.libvirt.domain_builder import DomainBuilder
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.events import power_of_state
from nova_lite.compute.virt.libvirt.hardware import cpu_pinning
from nova_lite.compute.virt.libvirt.storage import open_files, volume_secrets, vtpm
from nova_lite.compute.virt.libvirt.xml.domain import NAMESPACE, hardware_of, owner_of
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk

_T = TypeVar("_T")
_DESTROY_TRIES = 3
_VANISHED = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_ERR_NO_DOMAIN_METADATA)


class Domains:
    """Access to domains for the parts of the driver. Methods with `conn` are called within `run`."""

    def __init__(self, env: Environment, connection: Connection, builder: DomainBuilder) -> None:
        self._env, self._connection, self._builder = env, connection, builder
        self._pinning = threading.Lock()

    def run(self, action: str, work: Callable[[Any], _T], *, timeout_s: float | None = None) -> _T:
        """As `Connection.run`."""
        return self._connection.run(action, work, timeout_s=timeout_s)

    def find(self, conn: Any, server_id: str) -> Any:  # libvirt has no types
        """The server's domain; None: it is not defined.

        :raises errors.HypervisorFailed: the domain with this UUID is not this worker's.
        """
        domain, owner = _lookup(conn, server_id)
        check_cancelled()
        if domain is not None and owner != self._env.owner:
            raise self._env.failed(
                f"use domain {domain.name()}", f"it belongs to {owner or 'something else than nova_lite'}, not to "
                f"{self._env.owner}; remove it, or give this worker a libvirt of its own")
        return domain

    def is_foreign(self, conn: Any, server_id: str) -> bool:  # libvirt has no types
        """Whether the domain with this UUID is not this worker's, and has its files elsewhere.

        :raises errors.HypervisorFailed: it has its files where this worker has them, as when the host was renamed.
        """
        domain, owner = _lookup(conn, server_id)
        if domain is None or owner == self._env.owner:
            return False
        if owner.partition(":")[2] == str(self._env.instances):
            self.find(conn, server_id)
        return True

    def get(self, conn: Any, server_id: str) -> Any:  # libvirt has no types
        """The server's domain.

        :raises errors.HypervisorFailed: it is not defined, or is not this worker's.
        """
        domain = self.find(conn, server_id)
        if domain is None:
            raise self._env.failed("find the guest", f"no domain has the UUID {server_id}")
        return domain

    def list_ours(self, conn: Any) -> dict[str, Power]:  # libvirt has no types
        """Power state by server id of this worker's guests."""
        powers = {}
        for domain in conn.listAllDomains():
            try:
                if _owner(domain) == self._env.owner:
                    powers[domain.UUIDString()] = power_of(domain)
            except libvirt.libvirtError as error:
                if error.get_error_code() not in _VANISHED:
                    raise
        return powers

    def list_stopped(self, conn: Any) -> list[str]:  # libvirt has no types
        """Ids of the servers whose guests an error of their storage has stopped."""
        paused = [server_id for server_id, power in self.list_ours(conn).items() if power is Power.PAUSED]
        return [server_id for server_id in paused
                if (domain := self.find(conn, server_id)) is not None and is_stopped_by_storage(domain)]

    def define(self, conn: Any, guest: Guest) -> Any:  # libvirt has no types
        """The guest's domain, defined anew unless it runs.

        :raises errors.HypervisorFailed: the host lacks hardware that the guest requires.
        """
        domain = self.find(conn, guest.server_id)
        if domain is None or not domain.isActive():
            domain = self._define(conn, guest, name=domain.name() if domain is not None else None)
        check_cancelled()
        return domain

    def _define(self, conn: Any, guest: Guest, *, name: str | None) -> Any:  # libvirt has no types
        if hardware_of(guest).tpm_version is not None:
            try:
                vtpm.define_secret(conn, self._env.directory(guest.server_id), guest.server_id)
            except OSError as error:
                raise self._env.failed("keep the key of a TPM", error) from error
        try:
            for disk in guest_disk.volumes(guest.disks).values():
                if disk.volume:
                    volume_secrets.define(conn, disk.volume)
                    open_files.forget(disk.volume)
        except (OSError, ValueError) as error:
            raise self._env.failed("make such a guest", error) from error
        with self._pinning:
            try:
                pinning = cpu_pinning.choose(
                    conn, guest.server_id, hardware_of(guest), among=cpu_sets.of_host(self._env.conf))
                check_cancelled()
                return conn.defineXML(self._builder.xml(guest, pinning=pinning, name=name))
            except ValueError as error:
                raise self._env.failed("make such a guest", error) from error


def power_of(domain: Any) -> Power:  # libvirt has no types
    """The domain's power state; None: NOSTATE."""
    if domain is None:
        return Power.NOSTATE
    state, reason = domain.state()
    is_off = state == libvirt.VIR_DOMAIN_SHUTOFF
    return power_of_state(state, reason, has_saved_memory=is_off and bool(domain.hasManagedSaveImage()))


def is_stopped_by_storage(domain: Any) -> bool:  # libvirt has no types
    """Whether the domain is paused by an error of its storage, and by nothing else."""
    return tuple(domain.state()) == (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR)


def power_off(domain: Any) -> None:  # libvirt has no types
    """Power off at once; a domain that is None, is off, or goes off meanwhile is fine."""
    for remaining in reversed(range(_DESTROY_TRIES)):
        if domain is None or not domain.isActive():
            return
        check_cancelled()
        try:
            domain.destroy()
        except libvirt.libvirtError as error:
            # QEMU in uninterruptible I/O: libvirt 9.0 ends with SYSTEM_ERROR after 15 s, though QEMU dies later.
            is_busy = error.get_error_code() in (libvirt.VIR_ERR_SYSTEM_ERROR, libvirt.VIR_ERR_OPERATION_INVALID)
            if not (is_busy and remaining):
                raise


def devices_of(domain: Any, *, flags: int = 0) -> ET.Element:  # libvirt has no types
    """The domain's description, parsed."""
    return ET.fromstring(domain.XMLDesc(flags))


def _lookup(conn: Any, server_id: str) -> tuple[Any, str]:  # libvirt has no types
    """The domain with this UUID, or None, and its owner."""
    try:
        domain = conn.lookupByUUIDString(server_id)
        return domain, _owner(domain)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None, ""
        raise


def _owner(domain: Any) -> str:  # libvirt has no types
    """The owner in the domain's metadata; "": it is no domain of nova_lite."""
    try:
        return owner_of(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE))
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN_METADATA:
            return ""
        raise
