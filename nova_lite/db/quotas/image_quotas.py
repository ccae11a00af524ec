# SPDX-License-Identifier: Apache-2.0
"""Quotas of images: how many a project has and the bytes of their data, what is being uploaded included.

Counted under the project's quota lock, in short transactions, so that two requests cannot both take the last of it.
"""

from __future__ import annotations

import sqlalchemy as sa
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.db.image.images import Image
from nova_lite.db.quotas import quota_locks, quotas

COUNT, SIZE = "image_count_total", "image_size_total"  # Glance's names; the latter is in MiB
_LIVING = Image.deleted_at.is_(None)


def count_over(session: Session, conf: cfg.ConfigOpts, project_id: str) -> str | None:
    """Lock the project's quota and count: None if one more image is allowed, else the text of the refusal."""
    quota_locks.take(session, project_id)
    limit = quotas.limits(session, conf, project_id)[COUNT]
    if limit < 0:
        return None
    used = session.scalar(sa.select(sa.func.count()).select_from(Image).where(Image.owner == project_id, _LIVING)) or 0
    return None if used < limit else f"Quota exceeded for images: {used} of {limit} are used ({COUNT})."


def free_bytes(session: Session, conf: cfg.ConfigOpts, project_id: str, *, except_for: str) -> int | None:
    """Lock the project's quota and sum: the bytes that image `except_for` may have; None: no limit."""
    quota_locks.take(session, project_id)
    limit = quotas.limits(session, conf, project_id)[SIZE]
    if limit < 0:
        return None
    used = session.scalar(sa.select(sa.func.coalesce(sa.func.sum(Image.size), 0)).where(
        Image.owner == project_id, _LIVING, Image.id != except_for))
    return max(0, (limit << 20) - int(used or 0))
