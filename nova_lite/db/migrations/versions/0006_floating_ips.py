# SPDX-License-Identifier: Apache-2.0
"""Floating addresses, routers, and tags of NICs."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add what is new; nothing that is there changes."""
    with op.batch_alter_table("ports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tag", sa.String(length=60), nullable=True))
