# SPDX-License-Identifier: Apache-2.0
"""A host with names and addresses that no other test on this machine has now, and a cloud on it with real guests."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.support.system.all_in_one import AllInOne
from tools.lib.services import Host, Switch


@contextlib.contextmanager
def own_number() -> Iterator[int]:
    """From 1 to 250, this process's alone until the end; the kernel takes it back from a process that died."""
    for number in range(1, 251):
        # An abstract socket: a name that one process of the machine can have, and no file.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as claim:
            try:
                claim.bind(f"\0nova-lite-test-{number}")
            except OSError:
                continue
            yield number
            return
    raise AssertionError("250 tests with hosts of their own run already")


@contextlib.contextmanager
def own_host(directory: Path) -> Iterator[tuple[Host, str]]:
    """A host in namespaces of its own, with its own libvirtd, and its address, which this process reaches."""
    with own_number() as number:
        switch = Switch(f"nlh{number}", address=f"10.196.{number}.254/24")
        address = f"10.196.{number}.1"
        with switch, Host(f"test{number}", state_dir=directory / "host", tunnel_ip=address, switch=switch) as host:
            yield host, address


@contextlib.contextmanager
def cloud_of_real_guests(directory: Path, *, options: str = "") -> Iterator[AllInOne]:
    """`nova-lite up` on a host of its own; `options`: text of a nova.conf."""
    with own_host(directory) as (host, address):
        cloud = AllInOne(directory, host=host, address=address, options=options)
        cloud.start()
        yield cloud
        cloud.stop()
