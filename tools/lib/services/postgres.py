# SPDX-License-Identifier: Apache-2.0
"""A PostgreSQL server of our own: fresh, durable, in a directory of ours, run as Debian's user `postgres`."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from pathlib import Path

from tools.lib.services.errors import ServiceError
from tools.lib.services.processes import Process, wait_until
from tools.lib.services.sandbox import Sandbox
from tools.lib.services.service import (
    Service,
    check_identifier,
    clean_environment,
    free_port,
    output_of,
    random_password,
    write_private,
)

_SYSTEM_USER = "postgres"
_HOME = "/var/lib/postgresql"  # where the server sees our directory, see `_sandbox`


def _programs() -> Path:
    """Return the directory of the newest installed PostgreSQL's programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    if not found:
        raise ServiceError("PostgreSQL is not installed; run tools/install --for test")
    return found[-1].parent


class Postgres(Service):
    """One server on TCP only, one superuser with a random password (SCRAM), fsync on."""

    def __init__(
        self, state_dir: Path, *, address: str = "127.0.0.1", port: int | None = None, user: str = "nova"
    ) -> None:
        super().__init__(state_dir)
        kept = self._keep(
            {
                "address": address,
                "port": port or free_port(),
                "user": user,
                "password": random_password(),
            }
        )
        self.address, self.port = str(kept["address"]), int(kept["port"])
        self.user, self.password = str(kept["user"]), str(kept["password"])
        self._server = Process("postgres", self.state_dir)

    @property
    def pid(self) -> int:
        """Of its first process; the others descend from it."""
        return self._server.pid

    def url(self, database: str = "postgres") -> str:
        """Return the SQLAlchemy URL of a database."""
        return f"postgresql+psycopg2://{self.user}:{self.password}@{self.address}:{self.port}/{database}"

    def create_database(self, name: str) -> str:
        """Make an empty database, or keep the one of that name, and return its URL."""
        known = self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{check_identifier(name)}'")
        if not known.strip():
            self.sql(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, also while clients are connected to it; nothing when there is none."""
        self.sql(f"DROP DATABASE IF EXISTS {check_identifier(name)} WITH (FORCE)")

    def sql(self, statement: str, *, database: str = "postgres") -> str:
        """Run one statement and return its rows, one a line, columns joined by `|`."""
        options = ["-h", self.address, "-p", str(self.port), "-U", self.user, "-d", database]
        env = clean_environment(PGPASSWORD=self.password, PGCONNECT_TIMEOUT="2")
        return output_of([str(_programs() / "psql"), "-XqAt", *options, "-c", statement], env=env)

    def _start(self) -> None:
        """Start it and return when it answers; 2 s the first time, then 0.2."""
        self._initialise()
        settings = {
            "listen_addresses": self.address,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": "300",
            "shared_buffers": "64MB",
            # Counts statements for tools/bench; without CREATE EXTENSION it costs nothing that shows.
            "shared_preload_libraries": "pg_stat_statements",
        }
        options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        argv = [str(_programs() / "postgres"), "-D", f"{_HOME}/data", *options]
        self._server.start(self._sandbox().command(argv), env=clean_environment())
        wait_until(self.is_ready, deadline_s=60, what="starting PostgreSQL", watch=(self._server,))

    def stop(self) -> None:
        """End it in order; connected clients are cut off."""
        self._server.end(by=signal.SIGINT)  # "fast shutdown": SIGTERM would wait for clients to leave

    def kill9(self) -> None:
        """Crash it, with all its backends; `start()` recovers from its log."""
        self._server.kill9()

    def is_ready(self) -> bool:
        """Log in and select."""
        try:
            return self.sql("SELECT 1").strip() == "1"
        except ServiceError:
            return False

    def _sandbox(self) -> Sandbox:
        # the server must not run as root, and its user may not be able to reach our directory (below /root,
        # or a test's 0700 directory), so it sees it at its own home, in a mount namespace of its own
        return Sandbox(binds=((str(self.state_dir / "server"), _HOME),), user=_SYSTEM_USER)

    def _initialise(self) -> None:
        try:
            who = pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            raise ServiceError("PostgreSQL is not installed; run tools/install --for test") from None
        server = self.state_dir / "server"
        if (server / "data" / "PG_VERSION").exists() and not (server / "password").exists():
            return
        shutil.rmtree(server, ignore_errors=True)  # a half-made cluster of a run that was cut
        server.mkdir(parents=True, mode=0o700)
        write_private(server / "password", self.password)
        for path in (server, server / "password"):
            os.chown(path, who.pw_uid, who.pw_gid)
        argv = [
            str(_programs() / "initdb"),
            "-D",
            f"{_HOME}/data",
            "-U",
            self.user,
            f"--pwfile={_HOME}/password",
        ]
        output_of(
            self._sandbox().command([*argv, "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]),
            env=clean_environment(),
            timeout_s=120,
        )
        (server / "password").unlink()
