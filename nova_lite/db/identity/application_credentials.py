# SPDX-License-Identifier: Apache-2.0
"""Application credentials: secrets with which a user's programs log in to one project, without the user's password."""

from __future__ import annotations

import datetime
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, Timestamps, utcnow


class ApplicationCredential(Timestamps, Base):
    """`secret_hash` as a user's password; `expires_at` None: never; `unrestricted`: it may manage application credentials."""

    __tablename__ = "application_credentials"
    __table_args__ = (sa.UniqueConstraint("user_id", "name"),)

    id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    user_id: Mapped[str] = mapped_column(sa.ForeignKey("users.id", ondelete="CASCADE"))
    project_id: Mapped[str] = mapped_column(sa.ForeignKey("projects.id", ondelete="CASCADE"), index=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(sa.Text, default="")
    secret_hash: Mapped[str] = mapped_column(sa.Text)
    expires_at: Mapped[datetime.datetime | None]
    unrestricted: Mapped[bool] = mapped_column(default=False)


class CredentialRole(Base):
    """A login with the credential has the role, as long as its user has it."""

    __tablename__ = "application_credential_roles"

    credential_id: Mapped[str] = mapped_column(
        sa.ForeignKey("application_credentials.id", ondelete="CASCADE"), primary_key=True)
    role_id: Mapped[str] = mapped_column(sa.ForeignKey("roles.id", ondelete="CASCADE"), primary_key=True)


def create(session: Session, credential: ApplicationCredential, *, role_ids: Sequence[str], limit: int) -> None:
    """Insert the credential with its roles; the caller has locked its user's row, so that no other is added meanwhile.

    :raises errors.Forbidden: the user has `limit` of them. :raises errors.AlreadyExists: the user has one of that name.
    """
    count = session.scalar(sa.select(sa.func.count()).where(ApplicationCredential.user_id == credential.user_id)) or 0
    if count >= limit:
        raise errors.Forbidden(
            reason=f"Unable to create additional application credentials, maximum of {limit} already exceeded for user.")
    name = credential.name
    session.add(credential)
    try:
        session.flush()
    except sa.exc.IntegrityError:
        raise errors.AlreadyExists(what="Application credential", id=name) from None
    session.add_all(CredentialRole(credential_id=credential.id, role_id=role_id) for role_id in role_ids)
    session.flush()


def find(session: Session, *, user_id: str, name: str | None = None) -> list[ApplicationCredential]:
    """The user's credentials by name; `name` None: all."""
    query = sa.select(ApplicationCredential).where(ApplicationCredential.user_id == user_id)
    query = query if name is None else query.where(ApplicationCredential.name == name)
    return list(session.scalars(query.order_by(ApplicationCredential.name)))


def get(session: Session, credential_id: str, *, user_id: str) -> ApplicationCredential:
    """The user's credential with this id.

    :raises errors.NotFound: the user has none with it.
    """
    credential = session.get(ApplicationCredential, credential_id)
    if credential is None or credential.user_id != user_id:
        raise errors.NotFound(what="Application credential", id=credential_id)
    return credential


def by_id(session: Session, credential_id: str) -> ApplicationCredential | None:
    """The credential of a login or token; None: it is gone or has expired."""
    credential = session.get(ApplicationCredential, credential_id)
    return None if credential is None or (credential.expires_at is not None and credential.expires_at <= utcnow()) else credential


def role_ids(session: Session, credential_ids: Sequence[str]) -> dict[str, set[str]]:
    """The ids of the roles of each of these credentials."""
    found: dict[str, set[str]] = {credential_id: set() for credential_id in credential_ids}
    query = sa.select(CredentialRole.credential_id, CredentialRole.role_id)
    for credential_id, role_id in session.execute(query.where(CredentialRole.credential_id.in_(credential_ids))):
        found[credential_id].add(role_id)
    return found


def forget(session: Session, *, user_id: str, project_id: str | None = None) -> None:
    """Delete the user's credentials, or only those for the project."""
    query = sa.delete(ApplicationCredential).where(ApplicationCredential.user_id == user_id)
    session.execute(query if project_id is None else query.where(ApplicationCredential.project_id == project_id))


def forget_by_role(session: Session, role_id: str) -> None:
    """Delete the credentials that have the role."""
    mine = sa.select(CredentialRole.credential_id).where(CredentialRole.role_id == role_id)
    session.execute(sa.delete(ApplicationCredential).where(ApplicationCredential.id.in_(mine)))
