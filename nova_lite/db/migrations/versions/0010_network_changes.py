# SPDX-License-Identifier: Apache-2.0
"""Revisions of security groups and networks, and the record of what is to be pushed to hosts."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Add what is new. MariaDB commits each statement: one that a cut run has done already is left out."""
    inspector = sa.inspect(op.get_bind())
    if not inspector.has_table("network_revisions"):
        op.create_table(
            "network_revisions",
            sa.Column("resource_id", sa.String(length=36), nullable=False),
            sa.Column("revision", sa.BigInteger(), nullable=False),
            sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_network_revisions")),
        )
    if not inspector.has_table("network_changes"):
        op.create_table(
            "network_changes",
            sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
            sa.Column("kind", sa.String(length=16), nullable=False),
            sa.Column("resource_id", sa.String(length=64), nullable=False),
            sa.Column("port_id", sa.String(length=36), nullable=True),
            sa.Column("network_id", sa.String(length=36), nullable=True),
            sa.Column("address", sa.String(length=64), nullable=True),
            sa.Column("created_at", TIME, nullable=False),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_network_changes")),
        )
