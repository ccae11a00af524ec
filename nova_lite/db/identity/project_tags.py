# SPDX-License-Identifier: Apache-2.0
"""Tags of projects, a row each: what several clients add at once is all kept."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, InsertUnlessTaken
from nova_lite.db.identity.users import Project

MAX_TAGS = 80  # of one project, as in Keystone


class ProjectTag(Base):
    __tablename__ = "project_tags"

    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)


def tags_of(session: Session, project_ids: Sequence[str]) -> dict[str, list[str]]:
    """The tags of each of these projects, by name."""
    found: dict[str, list[str]] = {project_id: [] for project_id in project_ids}
    query = sa.select(ProjectTag).where(ProjectTag.project_id.in_(project_ids)).order_by(ProjectTag.name)
    for tag in session.scalars(query):
        found[tag.project_id].append(tag.name)
    return found


def replace(session: Session, project_id: str, names: Sequence[str]) -> None:
    """Give the project these tags and no others."""
    session.execute(sa.delete(ProjectTag).where(ProjectTag.project_id == project_id))
    for name in names:
        session.execute(InsertUnlessTaken(ProjectTag).values(project_id=project_id, name=name))


def add(session: Session, project_id: str, name: str) -> None:
    """Add the tag; idempotent. The caller has locked the project's row.

    :raises errors.BadRequest: the project has MAX_TAGS.
    """
    tags = tags_of(session, [project_id])[project_id]
    if name not in tags and len(tags) >= MAX_TAGS:
        raise errors.BadRequest(reason=f"Invalid input for field 'tags': a project has at most {MAX_TAGS} tags")
    session.execute(InsertUnlessTaken(ProjectTag).values(project_id=project_id, name=name))


def remove(session: Session, project_id: str, name: str) -> None:
    """Remove the tag. :raises errors.NotFound: the project does not have it."""
    row = session.get(ProjectTag, (project_id, name))
    if row is None:
        raise errors.NotFound(what="Project tag", id=name)
    session.delete(row)
    session.flush()


def has_all(names: Sequence[str]) -> sa.ColumnElement[bool]:
    """Of projects: that they have each of these tags. One subquery: PostgreSQL 15 plans some hundred joins for many minutes."""
    wanted = set(names)
    held = sa.select(sa.func.count()).where(ProjectTag.project_id == Project.id, ProjectTag.name.in_(wanted)).scalar_subquery()
    return held == len(wanted)


def has_any(names: Sequence[str]) -> sa.ColumnElement[bool]:
    """Of projects: that they have one of these tags."""
    return sa.exists().where(ProjectTag.project_id == Project.id, ProjectTag.name.in_(names))
