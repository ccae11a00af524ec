# SPDX-License-Identifier: Apache-2.0
"""The command line of tools.lib.services, for trying things by hand: up, status, down."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.lib.services import Libvirtd, MariaDB, Postgres, RabbitMQ, Service, ServiceError

_MAKE: dict[str, Callable[[Path], Service]] = {
    "rabbitmq": RabbitMQ,
    "postgres": Postgres,
    "mariadb": MariaDB,
    "libvirtd": Libvirtd,
}
_DATABASE = "nova"


def _url(service: Service) -> str:
    """Return what a service is configured with; makes the database on the way."""
    if isinstance(service, Postgres | MariaDB):
        return service.create_database(_DATABASE)
    if isinstance(service, RabbitMQ):
        return service.url
    assert isinstance(service, Libvirtd)
    return service.uri


def _known(state: Path) -> dict[str, Service]:
    """Return the services that `up` started in this directory before."""
    return {
        name: make(state / name) for name, make in _MAKE.items() if (state / name / "settings.json").exists()
    }


def _up(names: list[str], *, state: Path, stay: bool) -> int:
    services = {name: _MAKE[name](state / name) for name in dict.fromkeys(names)}
    try:
        with ThreadPoolExecutor() as pool:
            for start in [pool.submit(service.start) for service in services.values()]:
                start.result()
        urls = {name: _url(service) for name, service in services.items()}
    except BaseException:
        _down(services, purge=False)
        raise
    sys.stdout.write(json.dumps(urls, indent=1) + "\n")
    sys.stdout.flush()
    if stay:
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
        _down(services, purge=False)
    return 0


def _down(services: dict[str, Service], *, purge: bool) -> int:
    for service in reversed(services.values()):
        if purge:
            service.purge()
        else:
            service.stop()
    return 0


def _status(services: dict[str, Service]) -> int:
    ready = {name: service.is_ready() for name, service in services.items()}
    sys.stdout.write(
        json.dumps({name: "ready" if yes else "down" for name, yes in ready.items()}, indent=1) + "\n"
    )
    return 0 if all(ready.values()) else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python3 -m tools.lib.services", description="Run real services by hand.")
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser(
        "up", help="start services, print their URLs (with passwords) as JSON, and leave them running"
    )
    up.add_argument("services", nargs="+", choices=sorted(_MAKE), metavar="SERVICE", help=", ".join(_MAKE))
    up.add_argument("--stay", action="store_true", help="stay until SIGINT or SIGTERM, then stop them")
    status = commands.add_parser("status", help="say which of them answer; exit status 1 unless all do")
    down = commands.add_parser("down", help="stop all that run in a directory; data stays")
    down.add_argument("--purge", action="store_true", help="remove their directories too")
    for command in (up, status, down):
        command.add_argument(
            "--state", type=Path, required=True, metavar="DIR", help="where data, logs and pids are kept"
        )
    return parser.parse_args()


def main() -> int:
    """Run one command; the exit status is 2 with a message when a service says why it cannot."""
    given = _arguments()
    if os.geteuid() != 0:
        sys.stderr.write("tools.lib.services needs root: run it by sudo\n")
        return 2
    state: Path = given.state.absolute()
    try:
        if given.command == "up":
            if given.stay:  # blocked first, in every thread, so that none is lost while the services start
                signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
            return _up(given.services, state=state, stay=given.stay)
        if given.command == "status":
            return _status(_known(state))
        return _down(_known(state), purge=given.purge)
    except ServiceError as error:
        sys.stderr.write(f"{error}\n")
        return 2


if __name__ == "__main__":
    sys.exit(main())
