# SPDX-License-Identifier: Apache-2.0
"""What a reader sends to a real database server besides its queries: nothing, for that is a round trip each."""

from __future__ import annotations

import pathlib

import sqlalchemy as sa

from nova_lite.db.engine import Database
from tools.lib.services import MariaDB


def test_a_reader_does_not_roll_back_what_it_has_not_begun(tmp_path: pathlib.Path) -> None:
    with MariaDB(tmp_path / "mariadb") as running:
        database = Database(running.create_database("nova"), pool_size=1)
        counts = [_rollbacks(database) for _ in range(3)]
        database.close()
    assert counts == [counts[0]] * 3


def _rollbacks(database: Database) -> int:
    """How many the server has seen on the readers' one connection."""
    with database.reader() as session:
        return int(session.execute(sa.text("SHOW SESSION STATUS LIKE 'Com_rollback'")).one()[1])
