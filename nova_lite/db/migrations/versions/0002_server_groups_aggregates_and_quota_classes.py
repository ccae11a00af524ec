# SPDX-License-Identifier: Apache-2.0
"""Server groups, aggregates, quota classes."""

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
