# SPDX-License-Identifier: Apache-2.0
"""What a cluster leaves on the machine: processes, devices, packet filters, cgroups and files."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

from tools.lib.cluster.cluster import Cluster
from tools.lib.services.libvirtd import guest_cgroups


class Traces:
    """By what a cluster can be known on the machine, noted while it runs; other clouds beside it do not count."""

    def __init__(self, cluster: Cluster, state: Path) -> None:
        self._needle = str(state)
        self._switch = cluster.switch.name
        pids = [host.real.pid for host in cluster.hosts]
        self._namespaces = {os.readlink(f"/proc/{pid}/ns/{kind}") for pid in pids for kind in ("net", "mnt", "uts")}
        inside = [who.pid for host in cluster.hosts for who in host.real.processes()]
        self._cgroups = [path for pid in inside for path in guest_cgroups(pid)]
        assert self._cgroups, "no guest runs"

    def left(self) -> list[str]:
        """What is still there."""
        links = [f"device {path.name}" for path in Path("/sys/class/net").iterdir() if path.name.startswith(self._switch)]
        rules = subprocess.run(["nft", "list", "ruleset"], capture_output=True, text=True, timeout=20, check=True).stdout
        return [
            *links, *(f"cgroup {path}" for path in self._cgroups if path.exists()), *self._processes(),
            *(["packet filter"] if self._switch in rules else []),
            *(f"file {path}" for path in [Path(self._needle)] if path.exists()),
        ]

    def _processes(self) -> Iterator[str]:
        for process in Path("/proc").glob("[0-9]*"):
            if process.name == str(os.getpid()):
                continue
            with contextlib.suppress(OSError):
                text = (process / "cmdline").read_text(errors="replace").replace("\0", " ")
                spaces = {os.readlink(place) for place in (process / "ns").iterdir()}
                files = [os.readlink(handle) for handle in (process / "fd").iterdir()]
                if (
                    self._needle in text or self._namespaces & spaces
                    or self._needle in (process / "mountinfo").read_text()
                    or any(name.startswith(self._needle) for name in files)
                ):
                    yield f"process {process.name}: {text}"
