# SPDX-License-Identifier: Apache-2.0
"""Disks of guests as files on this host: made, replaced, removed."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.compute.images import Base, ImageCache
from nova_lite.compute.virt import rescue
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.guests import LibvirtGuests
from nova_lite.compute.virt.libvirt.storage import config_drive, disks, resized_disks
from nova_lite.compute.virt.libvirt.storage.disk_list import RESCUE, RESCUE_CONFIG
from nova_lite.rpc.compute import Guest, Image
from nova_lite.values.instance_metadata import names_devices, with_places


class LibvirtDisks:
    """See nova_lite.compute.virt.driver.disks."""

    def __init__(self, env: Environment, cache: ImageCache, guests: LibvirtGuests) -> None:
        self._env, self._cache, self._guests = env, cache, guests

    def make(self, guest: Guest) -> None:
        base = self._base(guest.image)
        directory = self._env.make_directory(guest.server_id)
        with self._env.failing("make disks"):
            disks.make_root(base, directory / disks.ROOT, disk_gb=guest.disk_gb)
            if guest.ephemeral_gb:
                disks.make_ephemeral(directory / disks.EPHEMERAL, size_gb=guest.ephemeral_gb)
            if guest.swap_mb:
                disks.make_swap(directory / disks.SWAP, size_mb=guest.swap_mb)

    def make_config_drive(self, guest: Guest) -> None:
        documents = guest.documents
        if names_devices(documents):  # libvirt gives NICs their PCI addresses when it defines the guest
            self._guests.define(guest)
            documents = with_places(documents, self._guests.placement(guest).nics)
        name = disks.CONFIG if guest.rescue is None else RESCUE_CONFIG
        with self._env.failing("make the config drive"):
            config_drive.make(documents, self._env.make_directory(guest.server_id) / name)

    def clear(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        ephemeral = () if keeps_ephemeral else (disks.EPHEMERAL,)
        self._remove(server_id, disks.ROOT, disks.CONFIG, disks.SWAP, RESCUE, RESCUE_CONFIG, *ephemeral)

    def remove(self, server_id: str) -> None:
        with self._env.failing("remove disks"):
            disks.remove(self._env.directory(server_id))

    def make_rescue(self, guest: Guest) -> None:
        assert guest.rescue is not None
        rescue.device_of(guest.rescue, arch=self._env.arch, host=self._env.host)
        base = self._base(guest.rescue)
        with self._env.failing("make the rescue disk"):
            disks.make_root(base, self._env.make_directory(guest.server_id) / RESCUE, disk_gb=0)

    def remove_rescue(self, server_id: str) -> None:
        self._remove(server_id, RESCUE, RESCUE_CONFIG)

    def set_aside(self, server_id: str) -> None:
        with self._env.failing("set disks aside"):
            resized_disks.set_aside(self._env.directory(server_id))

    def resize(self, guest: Guest) -> None:
        with self._env.failing("resize disks"):
            resized_disks.make(self._env.directory(guest.server_id), guest)

    def restore(self, guest: Guest) -> None:
        with self._env.failing("restore disks"):
            resized_disks.restore(self._env.directory(guest.server_id), guest)

    def discard(self, server_id: str) -> None:
        with self._env.failing("remove the disks set aside"):
            resized_disks.discard(self._env.directory(server_id))

    def _base(self, image: Image) -> Base:
        base = self._cache.find(image)
        if base is None:
            raise errors.ImageFailed(host=self._env.host, id=image.id, reason="its base file is not in the cache any more")
        return base

    def _remove(self, server_id: str, *names: str) -> None:
        with self._env.failing("remove a disk"):
            for name in names:
                (self._env.directory(server_id) / name).unlink(missing_ok=True)
