# SPDX-License-Identifier: Apache-2.0
"""A MariaDB server of our own: fresh, durable, in a directory of ours, run as Debian's user `mysql`."""

from __future__ import annotations

import os
import pwd
import shutil
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

_SYSTEM_USER = "mysql"
_HOME = "/var/lib/mysql"  # where the server sees our directory, see `Postgres._sandbox` for why


class MariaDB(Service):
    """One server, one user with all rights and a random password, utf8mb4, InnoDB flushed at each commit."""

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
        self._server = Process("mariadb", self.state_dir)

    def url(self, database: str = "") -> str:
        """Return the SQLAlchemy URL of a database."""
        place = f"{self.user}:{self.password}@{self.address}:{self.port}"
        return f"mysql+pymysql://{place}/{database}?charset=utf8mb4"

    def create_database(self, name: str) -> str:
        """Make an empty database, or keep the one of that name, and return its URL."""
        self.sql(f"CREATE DATABASE IF NOT EXISTS {check_identifier(name)} CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin")
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Remove a database; nothing when there is none."""
        self.sql(f"DROP DATABASE IF EXISTS {check_identifier(name)}")

    def sql(self, statement: str) -> str:
        """Run one statement and return its rows, one a line, columns joined by tabs."""
        client = self.state_dir / "client.cnf"
        lines = ["[client]", f"host={self.address}", f"port={self.port}", f"user={self.user}", "protocol=tcp"]
        write_private(client, "\n".join([*lines, f"password={self.password}", "connect-timeout=5", ""]))
        argv = ["mariadb", f"--defaults-file={client}", "--batch", "--skip-column-names", "-e", statement]
        return output_of(argv, env=clean_environment())

    def _start(self) -> None:
        """Start it and return when it answers; 4 s the first time, then 1."""
        self._initialise()
        argv = [
            "/usr/sbin/mariadbd",
            "--no-defaults",
            f"--datadir={_HOME}/data",
            f"--tmpdir={_HOME}",
            f"--socket={_HOME}/mariadb.sock",
            f"--pid-file={_HOME}/mariadb.pid",
            f"--init-file={_HOME}/init.sql",
            f"--bind-address={self.address}",
            f"--port={self.port}",
            "--skip-name-resolve",
            "--character-set-server=utf8mb4",
            "--max-connections=300",
            "--innodb-buffer-pool-size=64M",
        ]
        self._server.start(self._sandbox().command(argv), env=clean_environment())
        wait_until(self.is_ready, deadline_s=60, what="starting MariaDB", watch=(self._server,))

    def stop(self) -> None:
        """End it in order."""
        self._server.end(deadline_s=30)

    def kill9(self) -> None:
        """Crash it; `start()` recovers from its log."""
        self._server.kill9()

    def is_ready(self) -> bool:
        """Log in and select."""
        try:
            return self.sql("SELECT 1").strip() == "1"
        except ServiceError:
            return False

    def _sandbox(self) -> Sandbox:
        return Sandbox(binds=((str(self.state_dir / "server"), _HOME),), user=_SYSTEM_USER)

    def _initialise(self) -> None:
        try:
            who = pwd.getpwnam(_SYSTEM_USER)
        except KeyError:
            raise ServiceError("MariaDB is not installed; run tools/install --for test") from None
        server = self.state_dir / "server"
        done = server / "init.sql"  # written last
        if done.exists():
            return
        shutil.rmtree(server, ignore_errors=True)  # a half-made one of a run that was cut
        server.mkdir(parents=True, mode=0o700)
        os.chown(server, who.pw_uid, who.pw_gid)
        argv = [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={_HOME}/data",
            f"--tmpdir={_HOME}",  # a server that starts removes what others have in the same one
            "--skip-test-db",
            "--skip-name-resolve",
        ]
        output_of(self._sandbox().command(argv), env=clean_environment(), timeout_s=120)
        account = f"'{self.user}'@'%'"
        write_private(
            done,
            f"CREATE USER IF NOT EXISTS {account} IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {account} WITH GRANT OPTION;\n",
        )
        os.chown(done, who.pw_uid, who.pw_gid)
