# SPDX-License-Identifier: Apache-2.0
"""`nova-lite down`: stops what `nova-lite up --background` started; with --purge, removes all of it from the host."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import shutil
import signal
import sys
import time
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd import pid_file, settings
from nova_lite.cmd.terminal import printable

_TERMINATE_S = 30.0
_KILL_S = 10.0
# What the services create in a state directory; --purge removes nothing else.
_DIRECTORIES = ("compute", "conversion", "fernet-keys", "images", "instances", "network", "volume", "volumes")
_FILES = (
    "admin-password", "clouds.yaml", "nova-lite.log", "nova-lite.pid", "nova-lite.sqlite", "nova-lite.sqlite-shm",
    "nova-lite.sqlite-wal", "openrc",
)


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "down", run, summary="stop the cloud that runs in the background; its guests keep running",
        examples=["nova-lite down", "nova-lite down --purge --state /tmp/cloud"],
        statuses=(
            "0  stopped and, with --purge, removed; also when there was nothing to stop or to remove",
            "1  --purge could not remove guests, networks or exports of volumes: the state is kept, and the command can be run again"))
    parser.add_argument("--purge", action="store_true",
                        help="also destroy all guests, remove all networks of this host and all state: database, images, keys")


def run(arguments: argparse.Namespace) -> int:
    """Stop; with --purge remove everything. Succeeds when there is nothing to do."""
    conf = settings.load(arguments)
    stopped = stop(conf.state_path)
    print(f"stopped the cloud (pid {stopped})" if stopped else f"no cloud of {conf.state_path} runs in the background")
    if not arguments.purge:
        if stopped:
            print("its guests keep running; nova-lite up --background brings it back, nova-lite down --purge removes all of it")
        return 0
    if not os.path.isdir(conf.state_path):
        print(f"there is no {conf.state_path}: nothing to remove")
        return 0
    try:
        guests = remove_guests(conf)
        remove_networks(conf)
        remove_volumes(conf)
    except errors.NovaLiteError as error:
        print(f"nova-lite: {printable(error.text)}\n  the state in {conf.state_path} is kept; run this again when that is fixed",
              file=sys.stderr)
        return 1
    foreign = remove_state(conf.state_path)
    print(f"destroyed {guests} guest{'' if guests == 1 else 's'}; removed the networks of this host, and the state in {conf.state_path}")
    if foreign:
        print(f"kept, since no service created it: {', '.join(foreign)}; tools/down --purge removes what the quickstart created")
    return 0


def stop(state: str) -> int | None:
    """End the background cloud and wait until it has ended; its pid, or None if none ran."""
    pid = pid_file.running(state)
    if pid is not None:
        for number, wait_s in ((signal.SIGTERM, _TERMINATE_S), (signal.SIGKILL, _KILL_S)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
            if _has_ended_within(wait_s, state):
                break
    with contextlib.suppress(FileNotFoundError):
        os.unlink(pid_file.path(state))
    return pid


def _has_ended_within(wait_s: float, state: str) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if pid_file.running(state) is None:
            return True
        time.sleep(0.05)
    return False


def remove_guests(conf: cfg.ConfigOpts) -> int:
    """Destroy every guest of this host's worker, with its disks; how many there were.

    :raises errors.HypervisorFailed: libvirt does not answer, or could not destroy one.
    """
    if not os.path.isdir(os.path.join(conf.state_path, "instances")):
        return 0
    from nova_lite.compute.virt import drivers

    driver = drivers.make(conf)
    driver.host.open(lambda server_id, power: None)
    try:
        servers = driver.guests.list_ours()
        for server_id in servers:
            driver.guests.destroy(server_id)
            driver.disks.remove(server_id)
    finally:
        driver.host.close()
    return len(servers)


def remove_networks(conf: cfg.ConfigOpts) -> None:
    """Remove bridges, namespaces, DHCP servers and filters of this host.

    :raises errors.NetworkFailed: a command failed on the host.
    """
    if not os.path.isdir(os.path.join(conf.state_path, "network")):
        return
    from nova_lite.network.service import make_driver

    driver = make_driver(conf)
    driver.remove_all()


def remove_volumes(conf: cfg.ConfigOpts) -> None:
    """End what makes volumes reachable for other hosts.

    :raises errors.VolumeFailed: it does not end.
    """
    if not os.path.isdir(os.path.join(conf.state_path, "volume")):
        return
    from nova_lite.volume import backends

    for backend in backends.make(conf):
        backend.exports.remove_all()


def remove_state(state: str) -> list[str]:
    """Remove the services' files, and the directory if nothing else is in it; the names of what else is in it.

    A directory that a file system is mounted on stays, empty.
    """
    for name in (*_DIRECTORIES, *(name for name in os.listdir(state) if name.startswith("volumes-"))):  # of each further backend
        shutil.rmtree(os.path.join(state, name), ignore_errors=True)
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(state, name))
    foreign = sorted(os.listdir(state))
    if not foreign:
        try:
            os.rmdir(state)
        except OSError as error:
            if error.errno != errno.EBUSY:
                raise
    return foreign
