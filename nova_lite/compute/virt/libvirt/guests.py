# SPDX-License-Identifier: Apache-2.0
"""Guests as domains: listed, defined, looked at, destroyed."""

from __future__ import annotations

from typing import Any

import libvirt
from oslo_log import log as logging

from nova_lite.compute.virt import cpu_sets
from nova_lite.compute.virt.libvirt import agent, diagnostics, nics
from nova_lite.compute.virt.libvirt.domains import Domains, devices_of, power_off
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.events import DomainEvents
from nova_lite.compute.virt.libvirt.hardware import cpu_pinning
from nova_lite.compute.virt.libvirt.storage import vtpm
from nova_lite.compute.virt.libvirt.xml import addresses
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, GuestPlacement
from nova_lite.rpc.diagnostics import GuestDiagnostics

LOG = logging.getLogger(__name__)
_UNDEFINE = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)


class LibvirtGuests:
    """See nova_lite.compute.virt.driver.guests."""

    def __init__(self, env: Environment, domains: Domains, events: DomainEvents) -> None:
        self._env, self._domains, self._events = env, domains, events

    def list_ours(self) -> dict[str, Power]:
        return self._domains.run("list guests", self._domains.list_ours)

    def define(self, guest: Guest) -> None:
        self._domains.run("define the guest", lambda conn: self._domains.define(conn, guest))

    def destroy(self, server_id: str) -> None:
        def work(conn: Any) -> None:
            if self._domains.is_foreign(conn, server_id):
                LOG.warning("server %s: a domain with its UUID is not this worker's; left alone", server_id)
                return
            domain = self._domains.find(conn, server_id)
            if domain is not None:
                power_off(domain)
                domain.undefineFlags(_UNDEFINE)
            vtpm.undefine_secret(conn, server_id)

        self._domains.run("destroy the guest", work)

    def diagnostics(self, guest: Guest) -> GuestDiagnostics:
        return self._domains.run("read diagnostics", lambda conn: diagnostics.read(
            conn, self._domains.get(conn, guest.server_id), hypervisor=self._env.virt.type,
            config_drive=guest.config_drive))

    def placement(self, guest: Guest) -> GuestPlacement:
        def read(conn: Any) -> GuestPlacement:
            domain = self._domains.get(conn, guest.server_id)
            inactive = devices_of(domain, flags=libvirt.VIR_DOMAIN_XML_INACTIVE)
            described = devices_of(domain)
            page = inactive.find("memoryBacking/hugepages/page")
            return cpu_sets.as_placement(
                cpu_pinning.of_domain(inactive), cpu_sets.layout(),
                page_kib=int(page.get("size", "0")) if page is not None else None,
                nics=nics.pci_addresses(described), disks=addresses.of_disks(described))

        return self._domains.run("read a guest's placement", read)

    def set_password(self, server_id: str, *, user: str, password: str) -> None:
        agent.set_password(self._domains, self._events, server_id, user=user, password=password)
