# SPDX-License-Identifier: Apache-2.0
"""A cloud of release 0.1 that was stopped in the middle of open actions, and goes on with this release."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from nova_lite.compute.virt.fake.state import FakeGuest
from nova_lite.conductor.reconcilers import deferred_deletes
from nova_lite.conductor.reconcilers.stalled_actions import StalledActions
from nova_lite.db import migrate
from nova_lite.db.compute.actions import OPEN, WAITING, Action
from nova_lite.db.engine import Database
from nova_lite.db.hosts.hosts import Claim
from nova_lite.lifecycle.servers import Power
from nova_lite.network.records import Records as NetworkRecords
from nova_lite.rpc import payload
from nova_lite.rpc.compute import Guest
from tests.support.flows.one_process import OneProcess

_HERE = Path(__file__).parent
REVISION = "0008"
RECORDED: dict[str, Any] = json.loads(gzip.decompress((_HERE / "release_0_1_records.json.gz").read_bytes()))
# "KIND CUT STEP": a kind of action; where it stood (queued, before or after a step, retrying or undoing one, report lost); the step.
CASES: dict[str, dict[str, Any]] = RECORDED["cases"]


def load(database: Database) -> None:
    """The rows as release 0.1 left them, on MariaDB in tables of its default collation."""
    if database.url.get_backend_name() == "mysql":
        with database.engine.connect() as connection:
            connection.exec_driver_sql("ALTER DATABASE CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
            connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)")
    migrate.upgrade(database.engine, REVISION)
    with database.engine.begin() as connection:
        for statement in (_HERE / "release_0_1.sql").read_text().split(";\n"):
            if statement.strip():
                connection.exec_driver_sql(_quoted(statement, connection.dialect.identifier_preparer))


def _quoted(statement: str, preparer: sa.sql.compiler.IdentifierPreparer) -> str:
    """Reserved names, as the database quotes them."""
    before, columns, after = re.split(r"(?<= \()([\w,]+)(?=\) VALUES\n)", statement, maxsplit=1)
    return before + ",".join(preparer.quote(name) for name in columns.split(",")) + after


class Upgraded(OneProcess):
    """Daemons of this release on the database, the records and the guests of release 0.1."""

    def __init__(self, directory: Path, *, after_s: float) -> None:
        database = Database(f"sqlite:///{directory}/cloud.sqlite")
        load(database)
        migrate.upgrade(database.engine)
        for name, text in RECORDED["files"].items():
            path = directory / name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.write_text(text)
        records = NetworkRecords(directory / "network")
        records.load()
        self._open(directory, hosts=2, database=database, network_records=records)
        self.image_id, self.network_id = RECORDED["image"], RECORDED["network"]
        self._define_guests()
        self._set_clock(after_s)
        self.report_services()
        self.stalled = StalledActions(self.services, self.engine)

    def _set_clock(self, after_s: float) -> None:
        """All clocks show so many seconds after release 0.1 was stopped."""
        with self.database.reader() as session:
            stopped_at = session.scalars(sa.select(sa.func.max(Action.updated_at))).one()
        self.advance(seconds=(stopped_at - self.database.clock()).total_seconds() + after_s)

    def _define_guests(self) -> None:
        """Guests run on through an upgrade."""
        for server_id, recorded in RECORDED["guests"].items():
            record = self.compute_host.records.get(server_id)
            guest = payload.from_wire(Guest, recorded["guest"]) if recorded["guest"] else record.guest  # type: ignore[union-attr]
            self.driver.guests._state.guests[server_id] = FakeGuest(
                guest, Power(recorded["power"]), snapshots=dict.fromkeys(recorded["copies"], b"copy"))

    def reconcile(self, *, seconds: float) -> None:
        """As the conductor's reconcilers do, so much later."""
        self.advance(seconds=seconds)
        self.report_services()
        self.stalled.look()
        self.bus.deliver()
        deferred_deletes.begin(self.services)

    def open_actions(self) -> list[str]:
        with self.database.reader() as session:
            return [f"{action.name} {action.state} {action.step} awaiting {action.awaiting_step}: {action.message}"
                    for action in session.scalars(sa.select(Action).where(Action.state.in_((*OPEN, WAITING))))]

    def leftovers(self, server_id: str) -> dict[str, object]:
        """Sums over all servers say nothing of one."""
        return {name: value for name, value in super().leftovers(server_id).items() if name != "sums"}

    def claimed(self) -> tuple[list[Any], list[Any]]:
        """What hosts count as claimed, and what their servers' claims add up to."""
        with self.database.reader() as session:
            counted = session.execute(sa.text(
                "SELECT name, vcpus_claimed, ram_mb_claimed, disk_gb_claimed, servers_claimed FROM hosts ORDER BY name")).all()
            claims = session.execute(sa.select(
                Claim.host, sa.func.sum(Claim.vcpus), sa.func.sum(Claim.ram_mb), sa.func.sum(Claim.disk_gb), sa.func.count(),
            ).group_by(Claim.host).order_by(Claim.host)).all()
        return [tuple(row) for row in counted], [tuple(row) for row in claims]
