# SPDX-License-Identifier: Apache-2.0
"""Alembic's entry: runs migrations on the connection that db/migrate.py gives."""

from alembic import context

from nova_lite import db  # noqa: F401 - registers the models
from nova_lite.db.base import Base

context.configure(
    connection=context.config.attributes["connection"], target_metadata=Base.metadata, render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
