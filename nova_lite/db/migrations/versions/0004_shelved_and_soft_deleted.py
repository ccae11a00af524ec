# SPDX-License-Identifier: Apache-2.0
"""Shelved and soft-deleted servers."""

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
