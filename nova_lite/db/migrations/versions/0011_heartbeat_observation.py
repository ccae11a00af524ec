# SPDX-License-Identifier: Apache-2.0
"""Since when heartbeats are written without a gap."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """MariaDB commits each statement: a table that a cut run has made is left as it is."""
    if not sa.inspect(op.get_bind()).has_table("heartbeat_observation"):
        op.create_table(
            "heartbeat_observation", sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
            sa.Column("since", TIME, nullable=False), sa.Column("last_at", TIME, nullable=False),
            sa.Column("silent_from", TIME, nullable=True),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_heartbeat_observation")))
