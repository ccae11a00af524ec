# SPDX-License-Identifier: Apache-2.0
"""Leases of running conductors, by which they divide the reconcilers' work."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """MariaDB commits each statement: a table that a cut run has made is left as it is."""
    if not sa.inspect(op.get_bind()).has_table("conductor_leases"):
        op.create_table(
            "conductor_leases", sa.Column("owner", sa.String(length=255), nullable=False),
            sa.Column("active_from", TIME, nullable=False), sa.Column("lease_until", TIME, nullable=False),
            sa.PrimaryKeyConstraint("owner", name=op.f("pk_conductor_leases")))
