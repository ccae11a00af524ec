# SPDX-License-Identifier: Apache-2.0
"""Floating addresses, routers, and tags of NICs."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """Add what is new; nothing that is there changes."""
    with op.batch_alter_table("ports", schema=None) as batch_op:
        batch_op.add_column(sa.Column("tag", sa.String(length=60), nullable=True))
    op.create_table(
        "floating_ips",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=False),
        sa.Column("plug_id", sa.String(length=36), nullable=False),
        sa.Column("address", sa.String(length=64), nullable=False),
        sa.Column("port_id", sa.String(length=36), nullable=True),
        sa.Column("fixed_address", sa.String(length=64), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name=op.f("fk_floating_ips_network_id")),
        sa.ForeignKeyConstraint(["plug_id"], ["ports.id"], name=op.f("fk_floating_ips_plug_id"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["port_id"], ["ports.id"], name=op.f("fk_floating_ips_port_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floating_ips")),
        sa.UniqueConstraint("plug_id", name=op.f("uq_floating_ips_plug_id")),
        sa.UniqueConstraint("port_id", "fixed_address", "network_id", name=op.f("uq_floating_ips_port_id_fixed_address_network_id")),
    )
    for column in ("address", "network_id", "project_id"):
        op.create_index(op.f(f"ix_floating_ips_{column}"), "floating_ips", [column])
    op.create_table(
        "routers",
        sa.Column("id", sa.String(length=36), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.String(length=255), nullable=False),
        sa.Column("admin_state_up", sa.Boolean(), nullable=False),
        sa.Column("network_id", sa.String(length=36), nullable=True),
        sa.Column("gateway_port_id", sa.String(length=36), nullable=True),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("updated_at", TIME, nullable=True),
        sa.ForeignKeyConstraint(["network_id"], ["networks.id"], name=op.f("fk_routers_network_id")),
        sa.ForeignKeyConstraint(
            ["gateway_port_id"], ["ports.id"], name=op.f("fk_routers_gateway_port_id"), ondelete="SET NULL"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_routers")),
    )
    op.create_index(op.f("ix_routers_project_id"), "routers", ["project_id"])
