# SPDX-License-Identifier: Apache-2.0
"""Files given with a server."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("servers", sa.Column("files", sa.JSON(), nullable=True))
