# SPDX-License-Identifier: Apache-2.0
"""The cloud under test: `nova-lite up` or separate daemons, simulated on loopback or with real guests in a host of its own."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.lib.cluster import cluster as clusters
from tools.lib.daemons import Daemons, Options
from tools.lib.services import Host, Process, Switch, free_port
from tools.lib.services.processes import wait_until

ROOT = Path(__file__).resolve().parents[3]
# In the host's own namespace, and of the switch that joins it to this one.
_HOST_ADDRESS, _SWITCH_ADDRESS = "10.197.9.1", "10.197.9.254/24"
PUBLIC_RANGE = "10.72.0.0/20"  # of the external network
READY_S = 120.0


@contextlib.contextmanager
def running(directory: Path, *, is_real: bool, has_daemons: bool, options: Options) -> Iterator[Path]:
    """Yields the cloud's clouds.yaml once it answers; ends it afterwards. `options`: of its nova.conf."""
    with contextlib.ExitStack() as stack:
        if has_daemons:
            directory.chmod(0o755)  # RabbitMQ and PostgreSQL run as users of their own
            yield (_cluster if is_real else _daemons)(stack, directory / "cloud", options)
        elif is_real:
            switch = stack.enter_context(Switch("nltemp", address=_SWITCH_ADDRESS))
            host = stack.enter_context(
                Host("tempest1", state_dir=directory / "host", tunnel_ip=_HOST_ADDRESS, switch=switch))
            # As an operator's router would: floating addresses are reached through the host. Gone with the switch.
            _route(_HOST_ADDRESS)
            yield _start(stack, directory, host.command, _HOST_ADDRESS, (), options)
        else:
            yield _start(stack, directory, list, "127.0.0.1", ("--fake",), options)


def _route(host: str) -> None:
    subprocess.run(["ip", "route", "add", PUBLIC_RANGE, "via", host], check=True, timeout=10)


def _daemons(stack: contextlib.ExitStack, state: Path, options: Options) -> Path:
    return stack.enter_context(Daemons(state, hosts=1, options=options)).clouds_yaml


def _cluster(stack: contextlib.ExitStack, state: Path, options: Options) -> Path:
    """One host, as tools/cluster makes it."""
    cluster = clusters.make(state, database=None, hosts=1)
    stack.callback(cluster.down)
    cluster.control.options.update(options)
    cluster.up(lambda done: print(f"tools/tempest: {done}", file=sys.stderr, flush=True))
    _route(cluster.hosts[0].settings.address)
    return cluster.control.clouds_yaml


def _start(  # where, how it is reached, and what is said to it
    stack: contextlib.ExitStack, directory: Path, enter: object, address: str, more: Sequence[str], options: Options
) -> Path:
    state, port = directory / "state", free_port()
    config = directory / "nova.conf"
    config.write_text("".join(f"[{section}]\n" + "".join(f"{name} = {value}\n" for name, value in values.items())
                              for section, values in options.items()))
    cloud = Process("nova-lite", directory)
    command = [sys.executable, "-m", "nova_lite.cmd.lite.main", "up", "--config-file", str(config), "--state", str(state),
               "--listen", address, "--port", str(port), *more]
    stack.callback(cloud.end, deadline_s=40)
    cloud.start(enter(command), env={**os.environ, "PYTHONPATH": str(ROOT)})  # type: ignore[operator]
    url = f"http://{address}:{port}"
    wait_until(lambda: _answers(url), deadline_s=READY_S, what=url, watch=[cloud])
    return state / "clouds.yaml"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


def guest_image(directory: Path, *, is_real: bool) -> Path:
    """The image that servers boot from: nothing, or Debian's kernel with busybox, made once."""
    if not is_real:
        blank = directory / "blank.raw"
        blank.write_bytes(bytes(1 << 20))
        return blank
    made = directory / "guest.qcow2"
    subprocess.run([str(ROOT / "tools" / "guest-image"), str(made)], check=True, timeout=600)
    return made
