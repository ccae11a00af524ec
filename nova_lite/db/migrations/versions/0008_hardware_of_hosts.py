# SPDX-License-Identifier: Apache-2.0
"""Dedicated CPUs and huge pages of hosts, what is claimed of them, and what hosts offer beside their sizes."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    for table, names in (("hosts", ("pcpus", "pcpus_claimed", "huge_mb", "huge_mb_claimed")), ("claims", ("pcpus", "huge_mb"))):
        for name in names:
            op.add_column(table, sa.Column(name, sa.Integer(), nullable=False, server_default="0"))
    op.add_column("hosts", sa.Column("offers", sa.JSON(), nullable=True))
