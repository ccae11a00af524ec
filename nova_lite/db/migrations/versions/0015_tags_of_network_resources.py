# SPDX-License-Identifier: Apache-2.0
"""Tags of networks, subnets, ports, security groups, routers and floating IPs."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """MariaDB commits each statement: what a cut run has made is left as it is."""
    inspector = sa.inspect(op.get_bind())
    for table in ("networks", "subnets", "ports", "security_groups", "routers", "floating_ips"):
        if "tags" not in {column["name"] for column in inspector.get_columns(table)}:
            op.add_column(table, sa.Column("tags", sa.JSON(), nullable=True))
