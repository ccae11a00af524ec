# SPDX-License-Identifier: Apache-2.0
"""Authorization in the network service beyond a route's rule: owners, admin-only attributes, quotas."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence

from sqlalchemy.orm import Session

from nova_lite import errors
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.db.network import ports
from nova_lite.db.quotas import quota_locks, quotas

# The source of random addresses, MACs and segments: not predictable, and not equal in two processes.
RNG = random.SystemRandom()


def project_of(req: Request, params: Body) -> str:
    """The project of a new resource: the caller's, or the one that an admin names.

    :raises errors.BadRequest: `tenant_id` and `project_id` differ.
    :raises errors.Forbidden: another project's, and the caller is no admin.
    """
    named = {str(params[name]) for name in ("tenant_id", "project_id") if params.get(name)}
    if len(named) > 1:
        raise errors.BadRequest(reason="'project_id' and 'tenant_id' do not match")
    project_id = named.pop() if named else req.ctxt.project_id
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        raise errors.Forbidden(
            reason="Specifying 'project_id' or 'tenant_id' other than the authenticated "
            "project in request requires admin privileges"
        )
    return project_id


def refuse_unless_owner(req: Request, project_id: str, rule: str) -> None:
    """Refuse a change by anyone but the owner and admins: others may see the resource.

    :raises errors.PolicyForbids: the caller is neither.
    """
    if not req.ctxt.is_admin and project_id != req.ctxt.project_id:
        raise errors.PolicyForbids(rule=rule)


def refuse_admin_only(req: Request, params: Body, rule: str, defaults: Mapping[str, object]) -> None:
    """Refuse attributes that only an admin may set to another value than their default.

    :raises errors.PolicyForbids: naming the attribute.
    """
    for name, default in defaults.items():
        if name in params and params[name] != default and not req.ctxt.is_admin:
            raise errors.PolicyForbids(rule=f"{rule}:{name}")


def refuse_unsupported(params: Body, supported: Mapping[str, object]) -> None:
    """Refuse attributes with another value than the one that this cloud supports.

    :raises errors.BadRequest: naming the attribute.
    """
    for name, only in supported.items():
        if name in params and params[name] != only and params[name] is not None:
            raise errors.BadRequest(
                reason=f"Invalid input for {name}. Reason: {params[name]!r} is not supported by this cloud, "
                f"only {only!r} is."
            )


def lock_quotas(req: Request, items: Sequence[Body]) -> None:
    """Take the quota locks of the projects of all new resources of a request; errors as for `project_of`."""
    lock_quotas_of(req, (project_of(req, params) for params in items))


def lock_quotas_of(req: Request, project_ids: Iterable[str]) -> None:
    """Take the projects' quota locks, in one order whatever the request's: docs/decisions/0024."""
    for project_id in sorted(set(project_ids)):
        quota_locks.take(req.db, project_id)


def check_quota(
    req: Request, project_id: str, resource: str, *, used: Callable[[Session, str], int], made: int = 0
) -> None:
    """Refuse one more than the project's quota, or the `made` ones that this transaction has made, with Neutron's text and status (409).

    `used` counts under the project's quota lock, which is kept until the commit, so that two requests cannot both take the last.

    :raises errors.Conflict: the quota would be exceeded.
    """
    quota_locks.take(req.db, project_id)
    limit = quotas.limits(req.db, req.conf, project_id)[resource]
    if limit < 0:
        return
    count = used(req.db, project_id) - made
    if limit < count + (made or 1):
        raise errors.Conflict(
            reason=f"Quota exceeded for resources: ['{resource.removesuffix('s')}']. {count} of {limit} are used."
        )


def check_port_quota(req: Request, project_id: str) -> None:
    """Refuse a port that was just made and is beyond the quota as the compute API does, with 403.

    :raises errors.Forbidden: the quota would be exceeded.
    """
    quota_locks.take(req.db, project_id)
    limit = quotas.limits(req.db, req.conf, project_id)["ports"]
    if 0 <= limit < ports.count(req.db, project_id):
        raise errors.Forbidden(reason="Maximum number of ports exceeded")
