# SPDX-License-Identifier: Apache-2.0
"""Actions belong to any resource, carry an order, and wait for a worker's report; the database has an epoch."""

import secrets
import time

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")
_COLUMNS = (
    sa.Column("resource_type", sa.String(32), nullable=False, server_default="server"),
    sa.Column("epoch", sa.BigInteger(), nullable=False, server_default="0"),
    sa.Column("nonce", sa.String(16), nullable=False, server_default=""),
    sa.Column("awaiting_step", sa.String(64), nullable=True),
    sa.Column("awaiting_host", sa.String(255), nullable=True),
    sa.Column("step_started_at", _TIME, nullable=True),
    sa.Column("wake_at", _TIME, nullable=True),
    sa.Column("retries", sa.Integer(), nullable=False, server_default="0"),
)

# Workflows that find the server in a step of its own now: what failed first in release 0.1 is their second step.
_FOUND_FIRST = ("attach_interface", "create_backup", "detach_interface")


def upgrade() -> None:
    """Each part looks whether it is done: MariaDB commits each at once, and may have been stopped in between."""
    inspector = sa.inspect(op.get_bind())
    columns = {column["name"] for column in inspector.get_columns("actions")}
    if "server_id" in columns:
        op.alter_column("actions", "server_id", new_column_name="resource_id", existing_type=sa.String(36), existing_nullable=False)
    indexes = {index["name"] for index in inspector.get_indexes("actions")}
    if "ix_actions_resource_id" not in indexes:
        op.create_index("ix_actions_resource_id", "actions", ["resource_id"])
    if "ix_actions_server_id" in indexes:
        op.drop_index("ix_actions_server_id", "actions")
    for column in _COLUMNS:
        if column.name not in columns:
            op.add_column("actions", column.copy())
    if not inspector.has_table("database_epoch"):
        op.create_table(
            "database_epoch", sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("epoch", sa.BigInteger(), nullable=False), sa.PrimaryKeyConstraint("id", name="pk_database_epoch"))
    _complete_states()
    _give_orders()


def _complete_states() -> None:
    """Steps of this release read from their action's state what those of release 0.1 looked up; again changes nothing."""
    connection = op.get_bind()
    actions = sa.table("actions", *(sa.column(name) for name in ("id", "resource_id", "name", "state", "step")),
                       sa.column("inputs", sa.JSON), sa.column("saved", sa.JSON))
    servers = sa.table("servers", *(sa.column(name) for name in ("id", "host", "agent")))
    rows = connection.execute(
        sa.select(actions, servers.c.host, servers.c.agent).join_from(actions, servers, servers.c.id == actions.c.resource_id)
        .where(actions.c.state.in_(["running", "undoing"]))).all()
    for row in rows:
        step, saved = row.step, dict(row.saved)
        if row.state == "undoing" and step is None and row.name in _FOUND_FIRST:
            step = "find_server"
        if step is not None and row.agent is not None:
            saved = {"host": row.host, "agent": row.agent, **saved}
        if row.name == "unshelve" and "agent" in saved and row.inputs.get("host"):
            saved["forced_host"] = row.inputs["host"]
        if (step, saved) != (row.step, row.saved):
            connection.execute(sa.update(actions).where(actions.c.id == row.id).values(step=step, saved=saved))


def _give_orders() -> None:
    """Open actions get an order above all that hosts keep of earlier releases: their steps may be sent again."""
    connection = op.get_bind()
    epochs = sa.table("database_epoch", sa.column("id"), sa.column("epoch"))
    epoch = connection.scalar(sa.select(epochs.c.epoch))
    if epoch is None:
        epoch = int(time.time())
        connection.execute(sa.insert(epochs).values(id=1, epoch=epoch))
    actions = sa.table("actions", *(sa.column(name) for name in ("id", "state", "epoch", "nonce", "lease_owner", "lease_until")))
    is_open = actions.c.state.in_(["queued", "running", "undoing"])
    for action_id in connection.scalars(sa.select(actions.c.id).where(is_open, actions.c.nonce == "")).all():
        connection.execute(sa.update(actions).where(actions.c.id == action_id).values(
            epoch=epoch, nonce=secrets.token_hex(4), lease_owner=None, lease_until=None))
    # A step under way is in its action's row now; its event is written when it ends.
    events = sa.table("action_events", sa.column("finish_time"))
    connection.execute(sa.delete(events).where(events.c.finish_time.is_(None)))
