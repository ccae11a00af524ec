# SPDX-License-Identifier: Apache-2.0
"""Images as base files in the host's cache."""

from __future__ import annotations

from nova_lite.compute.images import ImageCache
from nova_lite.compute.virt.driver import Check
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.hardware import capability_check
from nova_lite.compute.virt.libvirt.xml.domain import hardware_of
from nova_lite.rpc.compute import Guest, Image
from nova_lite.values import guest_disk


class LibvirtImages:
    """See nova_lite.compute.virt.driver.images."""

    def __init__(self, env: Environment, cache: ImageCache) -> None:
        self._env, self._cache = env, cache

    def fetch(self, guest: Guest, *, check: Check) -> None:
        env = self._env
        reason = capability_check.missing(hardware_of(guest), ram_mb=guest.ram_mb, arch=env.arch, conf=env.conf)
        if reason is not None:
            raise env.failed("make such a guest", reason)
        if guest_disk.image_is_used(guest.disks):
            self._cache.fetch(guest.image, max_bytes=guest_disk.root_size_mb(guest.disks) << 20 or None, check=check)

    def cache(self, image: Image) -> None:
        self._cache.fetch(image, max_bytes=None, check=lambda: None)
