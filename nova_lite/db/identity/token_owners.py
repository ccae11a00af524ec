# SPDX-License-Identifier: Apache-2.0
"""Whom a token belongs to and what it may do, as the rows are now; and tokens that were revoked."""

from __future__ import annotations

import dataclasses
import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, Session, mapped_column

from nova_lite import errors
from nova_lite.db.base import Base, utcnow
from nova_lite.db.identity import application_credentials
from nova_lite.db.identity.application_credentials import ApplicationCredential
from nova_lite.db.identity.passwords import mark
from nova_lite.db.identity.users import Domain, Project, Role, RoleAssignment, User

MAX_REVOKED = 10_000  # tokens of one user that have not expired


class RevokedToken(Base):
    """A token that was revoked before it expired; kept until it would have expired."""

    __tablename__ = "revoked_tokens"

    audit_id: Mapped[str] = mapped_column(sa.String(64), primary_key=True)
    expires_at: Mapped[datetime.datetime]
    user_id: Mapped[str | None] = mapped_column(sa.String(64), index=True)


@dataclasses.dataclass(frozen=True)
class TokenOwner:
    """The user and scope of a token, as the rows are now; `project` None: unscoped; `roles` without implied ones.

    `credential`: the application credential that it was issued for, whose roles are the most that the token has: `limited_to`.
    """

    user: User
    domain: Domain
    project: Project | None
    roles: frozenset[str]
    credential: ApplicationCredential | None
    limited_to: frozenset[str] | None


# Built once: building it takes longer than running it, and every request of an unknown token runs it.
_IS_REVOKED = sa.exists().where(RevokedToken.audit_id == sa.bindparam("audit_id"))
_OWNER = (
    sa.select(User, Domain, Project, Role.name, _IS_REVOKED)
    .join(Domain, Domain.id == User.domain_id)
    .outerjoin(Project, Project.id == sa.bindparam("project_id"))
    .outerjoin(
        RoleAssignment,
        sa.and_(RoleAssignment.user_id == User.id, RoleAssignment.project_id == Project.id),
    )
    .outerjoin(Role, Role.id == RoleAssignment.role_id)
    .where(User.id == sa.bindparam("user_id"))
)


def token_owner(
    session: Session,
    *,
    user_id: str,
    project_id: str,
    audit_id: str,
    issued_at: datetime.datetime,
    password_mark: str,
    credential_id: str = "",
) -> TokenOwner:
    """The user and scope of a token with these contents, in one query; one of an application credential takes two more.

    :raises errors.InvalidToken: revoked, or its user, project or application credential is gone, disabled or has no role there.
    """
    values = {"user_id": user_id, "project_id": project_id, "audit_id": audit_id}
    rows = session.execute(_OWNER, values).all()
    if not rows:
        raise errors.InvalidToken(reason="its user is gone")
    user, domain, project, _, is_revoked = rows[0]
    roles = frozenset(row[3] for row in rows if row[3] is not None)
    if is_revoked or (user.revoked_before is not None and issued_at <= user.revoked_before):
        raise errors.InvalidToken(reason="it was revoked")
    credential = application_credentials.by_id(session, credential_id) if credential_id else None
    if credential_id and credential is None:
        raise errors.InvalidToken(reason="its application credential is gone")
    if password_mark != mark(credential.secret_hash if credential else user.password_hash):
        raise errors.InvalidToken(reason="its user has a new password")
    if not user.enabled or not domain.enabled:
        raise errors.InvalidToken(reason="its user is disabled")
    if project_id and (project is None or not project.enabled):
        raise errors.InvalidToken(reason="its project is gone or disabled")
    if project_id and not roles:
        raise errors.InvalidToken(reason="its user has no role in its project")
    return TokenOwner(user, domain, project, roles, credential, _roles_of(session, credential) if credential else None)


def _roles_of(session: Session, credential: ApplicationCredential) -> frozenset[str]:
    """The names of the credential's roles."""
    ids = application_credentials.role_ids(session, [credential.id])[credential.id]
    return frozenset(session.scalars(sa.select(Role.name).where(Role.id.in_(ids))))


def revoke(session: Session, *, audit_id: str, expires_at: datetime.datetime, user_id: str) -> None:
    """Revoke one token, and delete the rows of those that have expired. Idempotent.

    A user who has revoked MAX_REVOKED loses all tokens until now: these need no rows, so that logging in and out fills no table.
    """
    session.execute(sa.delete(RevokedToken).where(RevokedToken.expires_at < utcnow()))
    own = RevokedToken.user_id == user_id
    if (session.scalar(sa.select(sa.func.count()).where(own)) or 0) >= MAX_REVOKED:
        session.execute(sa.update(User).where(User.id == user_id).values(revoked_before=utcnow()))
        session.execute(sa.delete(RevokedToken).where(own))
    elif session.get(RevokedToken, audit_id) is None:
        session.add(RevokedToken(audit_id=audit_id, expires_at=expires_at, user_id=user_id))


def forget_revoked(session: Session, *, expired_before: datetime.datetime) -> None:
    """Delete revoked tokens that have expired since."""
    session.execute(sa.delete(RevokedToken).where(RevokedToken.expires_at < expired_before)
                    .execution_options(synchronize_session=False))
