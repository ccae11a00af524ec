# SPDX-License-Identifier: Apache-2.0
"""Whose the revoked tokens are, to bound them; unknown of those that are revoked already, which expire soon."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """MariaDB commits each statement: what a cut run has made is left as it is."""
    inspector = sa.inspect(op.get_bind())
    if "user_id" not in {column["name"] for column in inspector.get_columns("revoked_tokens")}:
        op.add_column("revoked_tokens", sa.Column("user_id", sa.String(length=64), nullable=True))
    if "ix_revoked_tokens_user_id" not in {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("revoked_tokens")}:
        op.create_index(op.f("ix_revoked_tokens_user_id"), "revoked_tokens", ["user_id"])
