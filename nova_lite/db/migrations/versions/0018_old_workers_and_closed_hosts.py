# SPDX-License-Identifier: Apache-2.0
"""Which workers are of an earlier release, and which hosts an operator has closed: each known whatever the other is."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None

_HOSTS = sa.table("hosts", sa.column("name", sa.String), sa.column("closed", sa.Boolean))
_SERVICES = sa.table("services", sa.column("host", sa.String), sa.column("binary", sa.String), sa.column("disabled", sa.Boolean),
                     sa.column("disabled_reason", sa.String), sa.column("forced_down", sa.Boolean))


def upgrade() -> None:
    """The next heartbeat says which workers are old; what operators have disabled is in the rows."""
    op.add_column("services", sa.Column("is_outdated", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.add_column("hosts", sa.Column("closed", sa.Boolean(), nullable=False, server_default=sa.false()))
    disables_itself = sa.func.coalesce(_SERVICES.c.disabled_reason, "").startswith("AUTO: ")
    op.execute(sa.update(_HOSTS).where(_HOSTS.c.name.in_(sa.select(_SERVICES.c.host).where(
        _SERVICES.c.binary == "nova-compute",
        _SERVICES.c.forced_down | (_SERVICES.c.disabled & sa.not_(disables_itself))))).values(closed=True))
