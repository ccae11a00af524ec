# SPDX-License-Identifier: Apache-2.0
"""Domains, projects, users, roles and role assignments of the built-in identity service, and the queries on them."""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, for_update, utcnow
from nova_lite.db.identity import application_credentials
from nova_lite.db.identity.passwords import hash_password

DEFAULT_DOMAIN = "default"
ROLES = ("admin", "manager", "member", "reader", "service")  # the built-in ones, which cannot be deleted


class Extra:
    """`extra`: attributes that clients have added and that mean nothing to this service; None: none."""

    extra: Mapped[dict[str, Any] | None]


class Domain(Timestamps, Base):
    __tablename__ = "domains"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=True)


class Project(Extra, Timestamps, Base):
    __tablename__ = "projects"
    __table_args__ = (sa.UniqueConstraint("domain_id", "name"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    domain_id: Mapped[str] = mapped_column(sa.ForeignKey("domains.id"))
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=True)


class User(Extra, Timestamps, Base):
    """`password_hash` is scrypt with its parameters and salt in it; `revoked_before` ends older tokens."""

    __tablename__ = "users"
    __table_args__ = (sa.UniqueConstraint("domain_id", "name"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    domain_id: Mapped[str] = mapped_column(sa.ForeignKey("domains.id"))
    name: Mapped[str]
    email: Mapped[str] = mapped_column(default="")
    description: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    default_project_id: Mapped[str | None] = mapped_column(sa.String(64))
    password_hash: Mapped[str] = mapped_column(sa.Text)
    revoked_before: Mapped[datetime.datetime | None]


class Role(Extra, Timestamps, Base):
    __tablename__ = "roles"

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    description: Mapped[str] = mapped_column(default="")


class RoleAssignment(Base):
    """The user has the role in the project."""

    __tablename__ = "role_assignments"

    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True)
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(sa.ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)


_Row = TypeVar("_Row", Domain, Project, User, Role)


def get(session: Session, model: type[_Row], row_id: str, *, is_locked: bool = False) -> _Row:
    """The domain, project, user or role with this id; `is_locked`: for a change, until the transaction ends.

    :raises errors.NotFound: none has.
    """
    query = sa.select(model).where(model.id == row_id)
    row = session.scalars(for_update(query)).one_or_none() if is_locked else session.get(model, row_id)
    if row is None:
        raise errors.NotFound(what=model.__name__, id=row_id)
    return row


def find(
    session: Session,
    model: type[_Row],
    *,
    name: str | None = None,
    domain_id: str | None = None,
    is_enabled: bool | None = None,
    ids: Sequence[str] | None = None,
    conditions: Sequence[sa.ColumnElement[bool]] = (),
) -> list[_Row]:
    """Rows by name, those that match all criteria; None: no criterion."""
    query = sa.select(model).where(*conditions).order_by(model.name, model.id)
    if name is not None:
        query = query.where(model.name == name)
    if ids is not None:
        query = query.where(model.id.in_(ids))
    for column, wanted in (("domain_id", domain_id), ("enabled", is_enabled)):
        if wanted is not None and hasattr(model, column):
            query = query.where(getattr(model, column) == wanted)
    return list(session.scalars(query))


def add(session: Session, row: _Row) -> _Row:
    """Insert the row, with a new id if it has none.

    :raises errors.AlreadyExists: its name is taken.
    """
    row.id = row.id or uuid.uuid4().hex
    session.add(row)
    flush_unique(session, row)
    return row


def flush_unique(session: Session, row: Domain | Project | User | Role) -> None:
    """Write the row's changes; the unique index decides between two API workers.

    :raises errors.AlreadyExists: another has its name.
    """
    what, name = type(row).__name__, row.name
    try:
        session.flush()
    except sa.exc.IntegrityError:
        raise errors.AlreadyExists(what=what, id=name) from None


def login_candidate(
    session: Session, *, user_id: str | None, name: str | None, domain_id: str | None, domain_name: str | None
) -> User | None:
    """The user of a login, by id or by name and domain."""
    query = sa.select(User).join(Domain, Domain.id == User.domain_id)
    query = query.where(User.id == user_id) if user_id is not None else query.where(User.name == name)
    if domain_id is not None:
        query = query.where(Domain.id == domain_id)
    if domain_name is not None:
        query = query.where(Domain.name == domain_name)
    return session.scalars(query).one_or_none()


def project_by_name(session: Session, name: str, *, domain_id: str | None, domain_name: str | None) -> Project | None:
    """The project of a login's scope."""
    query = sa.select(Project).join(Domain, Domain.id == Project.domain_id).where(Project.name == name)
    if domain_id is not None:
        query = query.where(Domain.id == domain_id)
    if domain_name is not None:
        query = query.where(Domain.name == domain_name)
    return session.scalars(query).one_or_none()


def revoke_all(user: User) -> None:
    """Revoke all tokens of the user."""
    user.revoked_before = utcnow()


def revoke_by_assignments(session: Session, *, project_id: str | None = None, role_id: str | None = None) -> None:
    """Revoke all tokens of the users who have the role, or a role in the project, so that none is valid again with it."""
    holders = sa.select(RoleAssignment.user_id)
    for column, value in ((RoleAssignment.project_id, project_id), (RoleAssignment.role_id, role_id)):
        holders = holders.where(column == value) if value is not None else holders
    session.execute(sa.update(User).where(User.id.in_(holders)).values(revoked_before=utcnow()))


def projects_of(session: Session, user_id: str) -> list[Project]:
    """Enabled projects in which the user has a role, by name."""
    mine = sa.select(RoleAssignment.project_id).where(RoleAssignment.user_id == user_id)
    query = sa.select(Project).where(Project.id.in_(mine), Project.enabled).order_by(Project.name, Project.id)
    return list(session.scalars(query))


def assignments(
    session: Session, *, user_id: str | None = None, project_id: str | None = None, role_id: str | None = None
) -> list[tuple[User, Project, Role]]:
    """Role assignments; None: any."""
    query = (
        sa.select(User, Project, Role)
        .select_from(RoleAssignment)
        .join(User, User.id == RoleAssignment.user_id)
        .join(Project, Project.id == RoleAssignment.project_id)
        .join(Role, Role.id == RoleAssignment.role_id)
        .order_by(Project.name, User.name, Role.name)
    )
    for column, wanted in (
        (RoleAssignment.user_id, user_id),
        (RoleAssignment.project_id, project_id),
        (RoleAssignment.role_id, role_id),
    ):
        if wanted is not None:
            query = query.where(column == wanted)
    return [(user, project, role) for user, project, role in session.execute(query)]


def assign(session: Session, *, user_id: str, project_id: str, role_id: str) -> None:
    """Give the user the role in the project. Idempotent.

    :raises errors.NotFound: one of the three does not exist.
    """
    get(session, User, user_id), get(session, Project, project_id), get(session, Role, role_id)
    if session.get(RoleAssignment, (user_id, project_id, role_id)) is None:
        session.add(RoleAssignment(user_id=user_id, project_id=project_id, role_id=role_id))
        session.flush()


def unassign(session: Session, *, user_id: str, project_id: str, role_id: str) -> None:
    """Take the role in the project from the user, whose tokens end: with the role given back they would be valid again.

    The user's application credentials for the project go, as in Keystone.

    :raises errors.NotFound: the user does not have it.
    """
    row = session.get(RoleAssignment, (user_id, project_id, role_id))
    if row is None:
        raise errors.NotFound(what="Role assignment", id=f"{role_id} of user {user_id} in project {project_id}")
    session.delete(row)
    application_credentials.forget(session, user_id=user_id, project_id=project_id)
    revoke_all(get(session, User, user_id))


def delete(session: Session, row: Project | User | Role) -> None:
    """Delete the row; its role assignments, and the application credentials that need it, go with it."""
    if isinstance(row, Role):
        application_credentials.forget_by_role(session, row.id)
    session.delete(row)
    session.flush()


def bootstrap(session: Session, admin_password: str) -> None:
    """Create the rows that a new cloud needs, and leave existing ones: the default domain, the roles,
    projects `admin` and `service`, and user `admin` with role admin in project `admin`.

    `admin_password` is used only when the user is created.
    """
    if session.get(Domain, DEFAULT_DOMAIN) is None:
        session.add(Domain(id=DEFAULT_DOMAIN, name="Default", description="The default domain"))
        session.flush()
    existing = {role.name for role in find(session, Role)}
    for name in ROLES:
        if name not in existing:
            add(session, Role(name=name))
    projects = {project.name: project for project in find(session, Project, domain_id=DEFAULT_DOMAIN)}
    for name, description in (("admin", "The operators' project"), ("service", "The services' own project")):
        if name not in projects:
            projects[name] = add(session, Project(domain_id=DEFAULT_DOMAIN, name=name, description=description))
    found = find(session, User, name="admin", domain_id=DEFAULT_DOMAIN)
    admin = (
        found[0]
        if found
        else add(
            session,
            User(
                domain_id=DEFAULT_DOMAIN,
                name="admin",
                description="The first operator",
                default_project_id=projects["admin"].id,
                password_hash=hash_password(admin_password),
            ),
        )
    )
    role = find(session, Role, name="admin")[0]
    assign(session, user_id=admin.id, project_id=projects["admin"].id, role_id=role.id)
