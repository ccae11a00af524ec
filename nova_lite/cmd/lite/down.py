# SPDX-License-Identifier: Apache-2.0
"""`nova-lite down`: ends what `nova-lite up --background` started; with --purge, leaves nothing of it on the host."""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import sys
import time
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd import pid_file, settings

_POLITE_S = 30.0
# What the services make in a state directory; whatever else is there is not ours to remove.
_DIRECTORIES = ("compute", "fernet-keys", "images", "instances", "network")
_FILES = (
    "admin-password", "clouds.yaml", "nova-lite.log", "nova-lite.pid", "nova-lite.sqlite", "nova-lite.sqlite-shm",
    "nova-lite.sqlite-wal", "openrc",
)


def add_to(subcommands: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    parser = subcommands.add_parser("down", help="stop the cloud that runs in the background; guests go on")
    settings.add_to(parser)
    parser.add_argument("--purge", action="store_true",
                        help="also end all guests, remove all networks of this host, and all state: rows, images, keys")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Stop; with --purge remove everything. Nothing to do is fine."""
    conf = settings.load(arguments)
    stopped = stop(conf.state_path)
    print(f"stopped the cloud (pid {stopped})" if stopped else f"no cloud of {conf.state_path} runs in the background")
    if not arguments.purge:
        return 0
    if not os.path.isdir(conf.state_path):
        print(f"there is no {conf.state_path}: nothing to remove")
        return 0
    try:
        guests = remove_guests(conf)
        remove_networks(conf)
    except errors.NovaLiteError as error:
        print(f"nova-lite: {error.text}\n  the state in {conf.state_path} is kept; run this again when that is repaired",
              file=sys.stderr)
        return 1
    left = remove_state(conf.state_path)
    print(f"ended {guests} guests; removed the networks of this host, and the state in {conf.state_path}")
    if left:
        print(f"kept, since no service made it: {', '.join(left)}; tools/down --purge removes what the quickstart made")
    return 0


def stop(state: str) -> int | None:
    """End the background cloud and wait until it is gone; its pid, or None if none ran."""
    pid = pid_file.running(state)
    if pid is not None:
        for sign, wait_s in ((signal.SIGTERM, _POLITE_S), (signal.SIGKILL, 10.0)):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, sign)
            if _is_gone_within(wait_s, state):
                break
    with contextlib.suppress(FileNotFoundError):
        os.unlink(pid_file.path(state))
    return pid


def _is_gone_within(wait_s: float, state: str) -> bool:
    deadline = time.monotonic() + wait_s
    while time.monotonic() < deadline:
        if pid_file.running(state) is None:
            return True
        time.sleep(0.05)
    return False


def remove_guests(conf: cfg.ConfigOpts) -> int:
    """End and forget every guest that this host's worker made; how many there were.

    :raises errors.HypervisorFailed: libvirt does not answer, or could not end one.
    """
    if not os.path.isdir(os.path.join(conf.state_path, "instances")):
        return 0
    from nova_lite.compute.virt import drivers

    driver = drivers.make(conf)
    driver.open(lambda server_id, power: None)
    try:
        servers = driver.list_ours()
        for server_id in servers:
            driver.destroy(server_id)
            driver.remove_disks(server_id)
    finally:
        driver.close()
    return len(servers)


def remove_networks(conf: cfg.ConfigOpts) -> None:
    """Remove bridges, namespaces, DHCP servers and filters of this host.

    :raises errors.NetworkFailed: the host refused.
    """
    if not os.path.isdir(os.path.join(conf.state_path, "network")):
        return
    from nova_lite.network.service import make_driver

    driver = make_driver(conf, metadata_app_factory=lambda documents: _no_answers)
    driver.remove_all()


def _no_answers(environ: dict[str, Any], start_response: Any) -> list[bytes]:  # noqa: ANN401 - PEP 3333 has no types
    start_response("404 Not Found", [("Content-Length", "0")])
    return []


def remove_state(state: str) -> list[str]:
    """Remove what the services keep in the directory, and it too if nothing else is there; what is left."""
    for name in _DIRECTORIES:
        shutil.rmtree(os.path.join(state, name), ignore_errors=True)
    for name in _FILES:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(state, name))
    left = sorted(os.listdir(state))
    if not left:
        os.rmdir(state)
    return left
