# SPDX-License-Identifier: Apache-2.0
"""Shelved and soft-deleted servers, and the passwords that guests post."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# Microseconds as on SQLite and PostgreSQL; MariaDB would keep seconds.
TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """When a server was put away, the snapshot that it is made of again, and its guest's encrypted password."""
    op.add_column("servers", sa.Column("soft_deleted_at", TIME, nullable=True))
    op.add_column("servers", sa.Column("shelved_at", TIME, nullable=True))
    op.add_column("servers", sa.Column("shelved_image_id", sa.String(length=36), nullable=True))
    op.add_column("servers", sa.Column("posted_password", sa.Text(), nullable=True))
