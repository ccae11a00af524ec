# SPDX-License-Identifier: Apache-2.0
"""The driver for guests as libvirt domains on this machine, composed of its parts."""

from __future__ import annotations

from oslo_config import cfg

from nova_lite.compute.images import ImageCache
from nova_lite.compute.virt.driver import Capabilities
from nova_lite.compute.virt.libvirt.connection import Connection
from nova_lite.compute.virt.libvirt.consoles import LibvirtConsoles
from nova_lite.compute.virt.libvirt.domain_builder import DomainBuilder
from nova_lite.compute.virt.libvirt.domains import Domains
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.events import DomainEvents
from nova_lite.compute.virt.libvirt.guests import LibvirtGuests
from nova_lite.compute.virt.libvirt.host import LibvirtHost
from nova_lite.compute.virt.libvirt.nics import LibvirtNics
from nova_lite.compute.virt.libvirt.power import LibvirtPower
from nova_lite.compute.virt.libvirt.storage.guest_disks import LibvirtDisks
from nova_lite.compute.virt.libvirt.storage.images import LibvirtImages
from nova_lite.compute.virt.libvirt.storage.io_errors import IoErrors
from nova_lite.compute.virt.libvirt.storage.snapshots import LibvirtSnapshots
from nova_lite.compute.virt.libvirt.storage.volume_check import VolumeCheck
from nova_lite.compute.virt.libvirt.storage.volume_copies import VolumeCopies
from nova_lite.compute.virt.libvirt.unplug import Unplug
from nova_lite.compute.virt.libvirt.volumes import LibvirtVolumes


class LibvirtDriver:
    """See nova_lite.compute.virt.driver for the contract of each part."""

    capabilities = Capabilities(keeps_disks=True, needs_guest_agent=True)

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        env = Environment(conf)
        events = DomainEvents()
        connection = Connection(
            conf.libvirt.connection_uri, host=env.host, timeout_s=conf.libvirt.call_timeout, events=events)
        self.builder = DomainBuilder(env)
        self.domains = Domains(env, connection, self.builder)
        cache = ImageCache(
            env.bases, host=env.host, idle_timeout_s=conf.compute.image_timeout,
            convert_timeout_s=conf.compute.image_convert_timeout)
        self.guests = LibvirtGuests(env, self.domains, events)
        io_errors, check, unplug = IoErrors(self.domains), VolumeCheck(env), Unplug(env, self.domains, events)
        self.power = LibvirtPower(self.domains, events, io_errors, check)
        self.images = LibvirtImages(env, cache)
        self.disks = LibvirtDisks(env, cache, self.guests)
        self.nics = LibvirtNics(self.domains, unplug)
        self.volumes = LibvirtVolumes(env, self.domains, unplug, check, VolumeCopies(env, self.domains, events))
        self.consoles = LibvirtConsoles(env, self.domains)
        self.snapshots = LibvirtSnapshots(env, self.domains, cache)
        self.host = LibvirtHost(env, connection, self.guests, events, cache, self.snapshots, io_errors)
