# SPDX-License-Identifier: Apache-2.0
"""What rebuild and rescue keep."""

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
