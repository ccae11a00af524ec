# SPDX-License-Identifier: Apache-2.0
"""Links and times as the Block Storage API writes them."""

from __future__ import annotations

import datetime

from nova_lite.api.wsgi.request import Request

Link = dict[str, str]


def url(req: Request, path: str) -> str:
    """The URL of the resource at `path`, with the caller's project: clients compare it with their endpoint."""
    return f"{req.base_url}{_project(req)}{path}"


def links(req: Request, path: str) -> list[Link]:
    """`self` (versioned) and `bookmark` (not versioned) of the resource at `path`."""
    root = req.base_url.rsplit("/", 1)[0]
    return [{"rel": "self", "href": url(req, path)}, {"rel": "bookmark", "href": f"{root}{_project(req)}{path}"}]


def _project(req: Request) -> str:
    return f"/{req.ctxt.project_id}" if req.ctxt.project_id else ""


def micros(moment: datetime.datetime | None) -> str | None:
    """`2026-01-31T12:00:00.000000`, UTC without a zone."""
    return None if moment is None else moment.isoformat(timespec="microseconds")
