# SPDX-License-Identifier: Apache-2.0
"""Disks of guests as files on this host: made, replaced, removed."""

from __future__ import annotations

from oslo_utils import uuidutils

from nova_lite.compute.images import ImageCache
from nova_lite.compute.virt import rescue
from nova_lite.compute.virt.libvirt.environment import Environment
from nova_lite.compute.virt.libvirt.guests import LibvirtGuests
from nova_lite.compute.virt.libvirt.storage import config_drive, disks, resized_disks
from nova_lite.compute.virt.libvirt.storage.disk_list import RESCUE, RESCUE_CONFIG
from nova_lite.rpc.compute import Guest
from nova_lite.values import guest_disk
from nova_lite.values.guest_disk import DiskSource
from nova_lite.values.instance_metadata import names_devices, with_places, with_random_seed


class LibvirtDisks:
    """See nova_lite.compute.virt.driver.disks."""

    def __init__(self, env: Environment, cache: ImageCache, guests: LibvirtGuests) -> None:
        self._env, self._cache, self._guests = env, cache, guests

    def owners(self) -> frozenset[str]:
        with self._env.failing("list disks"):
            return frozenset(path.name for path in self._env.instances.iterdir() if path.is_dir() and uuidutils.is_uuid_like(path.name))

    def make(self, guest: Guest) -> None:
        directory = self._env.make_directory(guest.server_id)
        with self._env.failing("make disks"):
            for file in disks.files_of(guest.disks):
                if file.disk.source is DiskSource.IMAGE:
                    disks.make_root(self._cache.get(guest.image), directory / file.name, size_mb=file.disk.size_mb)
                else:
                    disks.make_blank(file, directory)

    def make_config_drive(self, guest: Guest) -> None:
        documents = guest.documents
        if names_devices(documents):  # libvirt gives devices their addresses when it defines the guest
            self._guests.define(guest)
            placement = self._guests.placement(guest)
            documents = with_places(documents, placement.nics, placement.disks)
        seeded = with_random_seed(documents)
        name = disks.CONFIG if guest.rescue is None else RESCUE_CONFIG
        with self._env.failing("make the config drive"):
            config_drive.make(seeded, self._env.make_directory(guest.server_id) / name)

    def clear(self, server_id: str, *, keeps_ephemeral: bool) -> None:
        own = disks.names_in(self._env.directory(server_id))
        kept = [name for name in own if name.startswith(disks.EPHEMERAL)] if keeps_ephemeral else []
        self._remove(server_id, disks.CONFIG, RESCUE, RESCUE_CONFIG, *(name for name in own if name not in kept))

    def remove(self, server_id: str) -> None:
        with self._env.failing("remove disks"):
            disks.remove(self._env.directory(server_id))

    def make_rescue(self, guest: Guest) -> None:
        assert guest.rescue is not None
        rescue.device_of(guest.rescue, arch=self._env.arch, host=self._env.host)
        base = self._cache.get(guest.rescue)
        with self._env.failing("make the rescue disk"):
            disks.make_root(base, self._env.make_directory(guest.server_id) / RESCUE, size_mb=0)

    def remove_rescue(self, server_id: str) -> None:
        self._remove(server_id, RESCUE, RESCUE_CONFIG)

    def set_aside(self, server_id: str) -> None:
        with self._env.failing("set disks aside"):
            resized_disks.set_aside(self._env.directory(server_id))

    def resize(self, guest: Guest) -> None:
        base = self._cache.get(guest.image).path if guest_disk.image_is_used(guest.disks) else None
        with self._env.failing("resize disks"):
            resized_disks.make(self._env.directory(guest.server_id), guest, base=base)

    def restore(self, guest: Guest) -> None:
        with self._env.failing("restore disks"):
            resized_disks.restore(self._env.directory(guest.server_id), guest)

    def discard(self, server_id: str) -> None:
        with self._env.failing("remove the disks set aside"):
            resized_disks.discard(self._env.directory(server_id))

    def _remove(self, server_id: str, *names: str) -> None:
        with self._env.failing("remove a disk"):
            for name in names:
                (self._env.directory(server_id) / name).unlink(missing_ok=True)
