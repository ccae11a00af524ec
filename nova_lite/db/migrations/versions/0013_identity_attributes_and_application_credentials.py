# SPDX-License-Identifier: Apache-2.0
"""Further attributes of projects, users and roles, tags of projects, and application credentials."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

TIME = sa.DateTime().with_variant(mysql.DATETIME(fsp=6), "mysql", "mariadb")


def upgrade() -> None:
    """MariaDB commits each statement: what a cut run has made is left as it is."""
    inspector = sa.inspect(op.get_bind())
    for table in ("projects", "users", "roles"):
        if "extra" not in {column["name"] for column in inspector.get_columns(table)}:
            op.add_column(table, sa.Column("extra", sa.JSON(), nullable=True))
    if not inspector.has_table("project_tags"):
        op.create_table(
            "project_tags", sa.Column("project_id", sa.String(length=64), nullable=False),
            sa.Column("name", sa.String(length=255), nullable=False),
            sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_project_tags_project_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("project_id", "name", name=op.f("pk_project_tags")))
    if not inspector.has_table("application_credentials"):
        op.create_table(
            "application_credentials", sa.Column("id", sa.String(length=64), nullable=False),
            sa.Column("user_id", sa.String(length=64), nullable=False),
            sa.Column("project_id", sa.String(length=64), nullable=False),
            sa.Column("name", sa.String(length=255), nullable=False), sa.Column("description", sa.Text(), nullable=False),
            sa.Column("secret_hash", sa.Text(), nullable=False), sa.Column("expires_at", TIME, nullable=True),
            sa.Column("unrestricted", sa.Boolean(), nullable=False), sa.Column("created_at", TIME, nullable=False),
            sa.Column("updated_at", TIME, nullable=True),
            sa.ForeignKeyConstraint(
                ["user_id"], ["users.id"], name=op.f("fk_application_credentials_user_id"), ondelete="CASCADE"),
            sa.ForeignKeyConstraint(
                ["project_id"], ["projects.id"], name=op.f("fk_application_credentials_project_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("id", name=op.f("pk_application_credentials")),
            sa.UniqueConstraint("user_id", "name", name=op.f("uq_application_credentials_user_id_name")))
    indexes = {index["name"] for index in sa.inspect(op.get_bind()).get_indexes("application_credentials")}
    if "ix_application_credentials_project_id" not in indexes:
        op.create_index(op.f("ix_application_credentials_project_id"), "application_credentials", ["project_id"])
    if not inspector.has_table("application_credential_roles"):
        op.create_table(
            "application_credential_roles", sa.Column("credential_id", sa.String(length=64), nullable=False),
            sa.Column("role_id", sa.String(length=64), nullable=False),
            sa.ForeignKeyConstraint(
                ["credential_id"], ["application_credentials.id"],
                name=op.f("fk_application_credential_roles_credential_id"), ondelete="CASCADE"),
            sa.ForeignKeyConstraint(
                ["role_id"], ["roles.id"], name=op.f("fk_application_credential_roles_role_id"), ondelete="CASCADE"),
            sa.PrimaryKeyConstraint("credential_id", "role_id", name=op.f("pk_application_credential_roles")))
