# SPDX-License-Identifier: Apache-2.0
"""Which worker of a name serves it."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """MariaDB commits each statement: a table that a cut run has made is left as it is."""
    if not sa.inspect(op.get_bind()).has_table("workers"):
        op.create_table(
            "workers", sa.Column("binary", sa.String(length=64), nullable=False),
            sa.Column("agent", sa.String(length=255), nullable=False), sa.Column("id", sa.String(length=36), nullable=False),
            sa.Column("admitted_at", TIME, nullable=False),
            sa.PrimaryKeyConstraint("binary", "agent", name=op.f("pk_workers")))
