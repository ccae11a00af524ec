# SPDX-License-Identifier: Apache-2.0
"""What a resize keeps until it is confirmed."""

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
