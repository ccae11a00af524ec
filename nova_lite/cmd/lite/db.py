# SPDX-License-Identifier: Apache-2.0
"""`nova-lite db sync`: creates or upgrades the tables, and the first rows: roles, the admin, flavors."""

from __future__ import annotations

import argparse
import os
import secrets
from typing import Any

from oslo_config import cfg

from nova_lite.cmd import settings
from nova_lite.db import migrate
from nova_lite.db.compute import flavors
from nova_lite.db.engine import Database, open_database
from nova_lite.db.identity import users
from nova_lite.db.volume import volume_types
from nova_lite.runtime import tokens


def add_to(subcommands: Any) -> None:  # argparse keeps the type to itself
    parser = settings.add_command(
        subcommands, "db", run, summary="create the database's tables, or upgrade them to this version",
        examples=["nova-lite db sync --config-file /etc/nova/nova.conf", "nova-lite db sync --state /tmp/cloud"],
        statuses=("0  the tables are at this version, and the roles, the first admin, the flavors and a volume type are there", settings.FAILED))
    parser.add_argument("action", choices=["sync"], help="safe to run again; one of two at once waits for the other")


def run(arguments: argparse.Namespace) -> int:
    """Bring the database to this version; safe to run again."""
    conf = settings.load(arguments)
    os.makedirs(conf.state_path, mode=0o700, exist_ok=True)
    database = open_database(conf)
    migrate.upgrade(database.engine)
    bootstrap(conf, database)
    print(f"The database is at revision {migrate.head()}; the admin's password is in {password_file(conf)}")
    return 0


def bootstrap(conf: cfg.ConfigOpts, database: Database) -> str:
    """The first keys and rows, where they are missing; the admin's password."""
    tokens.KeyRepository(tokens.directory_of(conf)).create()
    password = _password(password_file(conf))
    with database.writer() as session:
        users.bootstrap(session, password)
        flavors.bootstrap(session)
        volume_types.bootstrap(session)
    return password


def password_file(conf: cfg.ConfigOpts) -> str:
    """Where the first admin's password is kept."""
    return str(conf.identity.admin_password_file) or os.path.join(conf.state_path, "admin-password")


def _password(path: str) -> str:
    """The password in the file, which is created if it is not there."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        with open(path) as file:
            return file.read().strip()
    password = secrets.token_urlsafe(18)
    with os.fdopen(handle, "w") as file:
        file.write(password + "\n")
    return password
