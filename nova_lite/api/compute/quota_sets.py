# SPDX-License-Identifier: Apache-2.0
"""Limits of projects: shown, set and reset."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nova_lite import errors
from nova_lite.api.compute import schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import ADMIN, ANYONE, READER, Field, Rule, route, view
from nova_lite.db import quotas

SHOW = Rule("os_compute_api:os-quota-sets:show", READER)
QUERY = {"2.75": schemas.query(("user_id",))}
# What Nova counts and when it left the API; those that this cloud has none of are 0 and stay so.
_NAMES = (
    ("instances", None), ("cores", None), ("ram", None), ("key_pairs", None), ("metadata_items", None),
    ("server_groups", None), ("server_group_members", None),
    ("security_groups", "2.35"), ("security_group_rules", "2.35"), ("fixed_ips", "2.35"), ("floating_ips", "2.35"),
    ("injected_files", "2.56"), ("injected_file_content_bytes", "2.56"), ("injected_file_path_bytes", "2.56"),
)
_ABSENT = {"fixed_ips": -1, "floating_ips": 0, "injected_files": 0, "injected_file_content_bytes": 0,
           "injected_file_path_bytes": 0}


def _reader(name: str) -> Callable[[Any], Any]:
    return lambda values: values[name]


FIELDS = tuple(Field(name, _reader(name), until=until) for name, until in _NAMES)


def _schema(last_names: tuple[str, ...]) -> schemas.Schema:
    limit = {"anyOf": [{"type": "integer", "minimum": -1, "maximum": 0x7FFFFFFF},
                       {"type": "string", "pattern": "^(-1|[0-9]{1,10})$"}]}
    return schemas.keyed("quota_set", schemas.closed(
        {**dict.fromkeys(last_names, limit), "force": schemas.BOOLEAN, "tenant_id": {"type": "string"}}))


UPDATE = {
    "2.0": _schema(tuple(name for name, _ in _NAMES)),
    "2.36": _schema(tuple(name for name, until in _NAMES if until != "2.35")),
    "2.57": _schema(tuple(name for name, until in _NAMES if until is None)),
}


@route("GET", "/os-quota-sets/{project_id}", policy=SHOW, query=QUERY)
def show(req: Request, project_id: str) -> Body:
    """A project's limits."""
    _refuse_other(req, project_id, SHOW)
    return {"quota_set": {"id": project_id, **view(FIELDS, _limits(req, project_id), req)}}


@route("GET", "/os-quota-sets/{project_id}/detail", policy=Rule("os_compute_api:os-quota-sets:detail", READER),
       query=QUERY)
def detail(req: Request, project_id: str) -> Body:
    """A project's limits, with what it uses; what belongs to users or servers is 0, as in Nova."""
    _refuse_other(req, project_id, SHOW)
    used = quotas.used(req.db, project_id)
    seen = {name: {"limit": limit, "in_use": used.get(name, 0), "reserved": 0}
            for name, limit in _limits(req, project_id).items()}
    return {"quota_set": {"id": project_id, **view(FIELDS, seen, req)}}


@route("GET", "/os-quota-sets/{project_id}/defaults", policy=Rule("os_compute_api:os-quota-sets:defaults", ANYONE))
def defaults(req: Request, project_id: str) -> Body:
    """The limits of a project that has none of its own."""
    return {"quota_set": {"id": project_id, **view(FIELDS, {**quotas.defaults(req.conf), **_ABSENT}, req)}}


@route("PUT", "/os-quota-sets/{project_id}", policy=Rule("os_compute_api:os-quota-sets:update", ADMIN), body=UPDATE,
       query=QUERY)
def update(req: Request, body: Body, project_id: str) -> Body:
    """Set limits; below what is used only by `force`."""
    if "user_id" in req.query:
        raise errors.BadRequest(reason="user_id: this cloud has no quotas of single users, only of projects")
    asked = {name: int(value) for name, value in body["quota_set"].items() if name not in ("force", "tenant_id")}
    for name in sorted(asked.keys() & _ABSENT.keys()):
        if asked[name] != _ABSENT[name]:
            raise errors.BadRequest(reason=f"{name}: this cloud has none, so its quota stays {_ABSENT[name]}")
    if not schemas.is_true(body["quota_set"].get("force")):
        _refuse_below_use(asked, quotas.used(req.db, project_id))
    quotas.set_limits(req.db, project_id, {name: value for name, value in asked.items() if name not in _ABSENT})
    req.db.flush()
    return {"quota_set": view(FIELDS, _limits(req, project_id), req)}


@route("DELETE", "/os-quota-sets/{project_id}", policy=Rule("os_compute_api:os-quota-sets:delete", ADMIN), status=202,
       query=QUERY)
def delete(req: Request, project_id: str) -> None:
    """Let the configured limits hold for the project again."""
    quotas.reset(req.db, project_id)


def _limits(req: Request, project_id: str) -> dict[str, int]:
    return {**quotas.limits(req.db, req.conf, project_id), **_ABSENT}


def _refuse_other(req: Request, project_id: str, rule: Rule) -> None:
    if project_id != req.ctxt.project_id and not req.ctxt.is_admin:
        raise errors.PolicyForbids(rule=rule.name)


def _refuse_below_use(asked: dict[str, int], used: dict[str, int]) -> None:
    for name, limit in asked.items():
        if 0 <= limit < used.get(name, 0):
            raise errors.BadRequest(reason=f"Quota limit {limit} for {name} must be greater than or equal to already "
                                           f"used {used[name]}.")
