# SPDX-License-Identifier: Apache-2.0
"""Tokens of remote consoles, passwords of guests."""

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Nothing yet."""
