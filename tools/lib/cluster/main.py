# SPDX-License-Identifier: Apache-2.0
"""The command line of tools/cluster: up, down, status, shell."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tools.lib.cluster import cluster as clusters
from tools.lib.services import ServiceError

ROOT = Path(__file__).resolve().parents[3]
DEFAULT_STATE = Path("/var/lib/nova-lite-cluster")
_EPILOG = """\
`up` starts RabbitMQ, a database and the control plane on this machine, and hosts h1 to hN, each in network, mount and
UTS namespaces of its own with its own libvirtd, nova-network and nova-compute, joined by VXLAN. Run again, it starts
what is missing; with a larger --hosts it adds hosts. `down` ends all of it, guests included, and removes the directory.

Exit status: 0 done; 1 `status`: something is down; 2 it cannot be done, and the message says why.
"""


def main(arguments: Sequence[str]) -> int:
    """Run one command and return the exit status."""
    options = _parser().parse_args(arguments)
    if os.geteuid() != 0:
        print("tools/cluster: not root: namespaces, libvirt and networks need it\n  remedy: sudo tools/cluster", file=sys.stderr)
        return 2
    try:
        _be_in_virtualenv(options.venv.absolute(), arguments, may_install=options.command == "up")
        run: Callable[[argparse.Namespace], int] = options.run
        return run(options)
    except ServiceError as error:
        print(f"tools/cluster: {error}", file=sys.stderr)
        if options.command == "up":
            print(f"  logs: {options.state}/*/*.log and control/log/; tools/cluster down removes what came up", file=sys.stderr)
        return 2


def up(options: argparse.Namespace) -> int:
    """Start what does not run, and say how to go on."""
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    made = clusters.make(_state(options), database=options.db, hosts=options.hosts)
    made.up(say)
    print(f"{len(made.hosts)} hosts are up at {made.control.url}")
    print(f"  export OS_CLIENT_CONFIG_FILE={made.control.clouds_yaml} OS_CLOUD=nova-lite")
    print("  openstack compute service list")
    return 0


def down(options: argparse.Namespace) -> int:
    """End everything and remove the directory; nothing to do is fine."""
    state = _state(options)
    found = clusters.find(state)
    if found is None:
        if not state.exists():
            print(f"there is no {state}: nothing to do")
            return 0
        if any(state.iterdir()):
            raise ServiceError(f"{state} has no cluster in it; nothing was removed")
        state.rmdir()
        return 0
    found.down()
    print(f"removed {len(found.hosts)} hosts, the control plane and {state}")
    return 0


def status(options: argparse.Namespace) -> int:
    """Print what works; 1 unless all does."""
    rows = _found(options).status()
    width = max(len(row.name) for row in rows)
    for row in rows:
        print(f"{'up  ' if row.is_up else 'DOWN'}  {row.name:<{width}}  {row.where}")
    return 0 if all(row.is_up for row in rows) else 1


def shell(options: argparse.Namespace) -> int:
    """Become a command on a host; a shell unless one is given."""
    host = _found(options).host(options.host)
    sys.stdout.flush()
    command = host.real.command(options.argv or [os.environ.get("SHELL", "/bin/bash")])
    os.execvp(command[0], command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tools/cluster", epilog=_EPILOG,
                                     description="A cloud of many hosts on this machine, of separate daemons.",
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="start it, or what of it does not run")
    starting.add_argument("--hosts", type=int, metavar="N", help="how many (default: as before, else 2)")
    starting.add_argument("--db", choices=["postgres", "mariadb"], help="the database (default: as before, else postgres)")
    starting.set_defaults(run=up)
    commands.add_parser("down", help="end and remove all of it").set_defaults(run=down)
    commands.add_parser("status", help="what works; exit status 1 unless all does").set_defaults(run=status)
    entering = commands.add_parser("shell", help="a shell, or one command, on a host")
    entering.add_argument("host", metavar="HOST", help="h1, h2, …")
    entering.add_argument("argv", nargs=argparse.REMAINDER, metavar="COMMAND", help="default: a shell")
    entering.set_defaults(run=shell)
    for command in commands.choices.values():
        command.add_argument("--state", type=Path, default=DEFAULT_STATE, metavar="DIR",
                             help="where data, logs and pids are kept (default: %(default)s)")  # fmt: skip
        command.add_argument("--venv", type=Path, default=_default_venv(), metavar="DIR",
                             help="the virtualenv with the project (default: %(default)s)")  # fmt: skip
    return parser


def _default_venv() -> Path:
    """The one that this Python is of, if it has the project; else .venv in the clone."""
    return Path(sys.prefix) if Path(sys.prefix, "bin", "nova-api").exists() else ROOT / ".venv"


def _be_in_virtualenv(venv: Path, arguments: Sequence[str], *, may_install: bool) -> None:
    """Become the same program in the virtualenv's Python, made first if need be: the daemons are beside it.

    :raises ServiceError: it is not there and may not be made, or cannot be.
    """
    if Path(sys.prefix) == venv:
        return
    if not (venv / "bin" / "nova-api").exists():
        if not may_install:
            raise ServiceError(f"the project is not installed in {venv}; give --venv, or run tools/install")
        command = [str(ROOT / "tools" / "install"), "--for", "test", "--venv", str(venv)]
        if subprocess.run(command, check=False).returncode:
            raise ServiceError("tools/install failed, and has said why")
    sys.stdout.flush()
    os.execv(venv / "bin" / "python", [str(venv / "bin" / "python"), str(ROOT / "tools" / "cluster"), *arguments])


def _state(options: argparse.Namespace) -> Path:
    state: Path = options.state.absolute()
    return state


def _found(options: argparse.Namespace) -> clusters.Cluster:
    found = clusters.find(_state(options))
    if found is None:
        raise ServiceError(f"there is no cluster in {_state(options)}; run tools/cluster up")
    return found
