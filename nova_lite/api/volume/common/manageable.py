# SPDX-License-Identifier: Apache-2.0
"""What a pool has, as administrators list it who want to take volumes or snapshots in, or see that none is left behind.

A worker removes what no row names: all that is listed is managed already, and nothing can be taken in.
"""

from __future__ import annotations

from typing import Any

from nova_lite import errors
from nova_lite.api.volume.common import paging, schemas
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import (
    BOOLEAN,
    INTEGER,
    NULL,
    STRING,
    STRING_OR_NULL,
    Field,
    closed,
)
from nova_lite.db import listing
from nova_lite.db.volume import pools

REF: schemas.Schema = {"anyOf": [{"type": "string", "minLength": 1, "maxLength": 255}, {
    "type": "object", "minProperties": 1, "maxProperties": 8, "additionalProperties": {"type": "string", "maxLength": 255}}]}
BRIEF = (
    Field("reference", lambda row: {"source-name": row.provider_name}, closed(**{"source-name": STRING})),
    Field("size", lambda row: row.size_gb, INTEGER),
    Field("safe_to_manage", lambda _: False, BOOLEAN),
)
DETAIL = (
    *BRIEF,
    Field("reason_not_safe", lambda _: "already managed", STRING_OR_NULL),
    Field("cinder_id", lambda row: row.id, STRING_OR_NULL),
    Field("extra_info", lambda _: None, NULL),
)


def pool_of(req: Request) -> str:
    """The pool that the query names by `host`.

    :raises errors.BadRequest: it names none, or there is no such pool.
    """
    host = req.query.get("host")
    if not host:
        raise errors.BadRequest(reason="Host must be specified in query parameters")
    known = {pool.name for pool in pools.pools(req.db)}
    if host not in known:
        raise errors.BadRequest(reason=f"Host {host[:255]} could not be found: it must be host@backend#pool of one of the pools.")
    return str(host)


def rows(req: Request, query: Any, columns: listing.Columns) -> list[Any]:
    """The page of the query's rows, by name."""
    page = paging.read_page(req, sort_keys=("size", "reference"), order=(("reference", True),))
    return paging.rows_of(req, req.db, query, columns, page, seen=query)


def name_of(params: Body) -> str:
    """The name by which a backend knows what is to be taken in."""
    ref = params["ref"]
    return str(ref if isinstance(ref, str) else ref.get("source-name") or ref.get("source-id") or "")


def refusal(name: str, *, is_managed: bool) -> errors.BadRequest:
    """Why this cannot be taken in."""
    reason = "it is managed already" if is_managed else "no backend of this cloud takes in what it did not make itself"
    return errors.BadRequest(reason=f"Unable to manage existing {name[:255]}: {reason}.")
