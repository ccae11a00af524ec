# SPDX-License-Identifier: Apache-2.0
"""Where the driver works: the host's name, directories, emulator and kind of virtualization."""

from __future__ import annotations

import contextlib
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

from oslo_config import cfg

from nova_lite import errors
from nova_lite.compute.virt.libvirt.hardware import capability_probe
from nova_lite.compute.virt.libvirt.storage import disks
from nova_lite.worker import commands


class Environment:
    """Shared by the parts of the driver. `virt` and `disk_cache` are known after `probe()`."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self.conf = conf
        self.host: str = conf.host
        self.instances = Path(conf.compute.instances_path or Path(conf.state_path) / "instances").absolute()
        self.bases = self.instances / "_base"
        self.arch = platform.machine()
        self.emulator = shutil.which(f"qemu-system-{self.arch}") or f"/usr/bin/qemu-system-{self.arch}"
        self.virt = capability_probe.Virt(capability_probe.TCG, "not probed yet")
        self.disk_cache = "none"
        self._state = Path(conf.state_path) / "compute"

    @property
    def owner(self) -> str:
        """Names this worker among all that use the same libvirt: in each domain's metadata (see xml/domain.py)."""
        return f"{self.host}:{self.instances}"

    def probe(self) -> None:
        """Make the directories; find out how guests run here."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        # QEMU may run as another user, so it may pass through; only root can list.
        self.instances.mkdir(mode=0o711, parents=True, exist_ok=True)
        self.virt = capability_probe.choose(
            self.conf.libvirt.virt_type, emulator=self.emulator, cache=self._state / "virt.json")
        self.disk_cache = disks.cache_mode(self.instances)

    def directory(self, server_id: str) -> Path:
        """Where the files of one guest are."""
        return self.instances / server_id

    def make_directory(self, server_id: str) -> Path:
        """As `directory`, which exists then; QEMU's user may pass through, only root can list."""
        path = self.directory(server_id)
        path.mkdir(mode=0o711, parents=True, exist_ok=True)
        return path

    def failed(self, action: str, reason: object) -> errors.HypervisorFailed:
        """The error of an action that this host could not do."""
        return errors.HypervisorFailed(host=self.host, action=action, reason=reason)

    @contextlib.contextmanager
    def failing(self, action: str) -> Iterator[None]:
        """Raise failures of programs and files as errors.HypervisorFailed."""
        try:
            yield
        except (commands.CommandFailed, OSError, ValueError) as error:
            raise self.failed(action, error) from error
