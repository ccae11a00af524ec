# SPDX-License-Identifier: Apache-2.0
"""Links and times as the Compute API writes them."""

from __future__ import annotations

import datetime

from nova_lite.api.wsgi.request import Request

Link = dict[str, str]


def bookmark(req: Request, path: str) -> Link:
    """The link without the API's version, `/v2.1`."""
    return {"rel": "bookmark", "href": f"{req.base_url.rsplit('/', 1)[0]}{path}"}


def links(req: Request, path: str) -> list[Link]:
    """`self` (versioned) and `bookmark` (not versioned) of the resource at `path`."""
    return [{"rel": "self", "href": req.base_url + path}, bookmark(req, path)]


def seconds(moment: datetime.datetime) -> str:
    """`2026-01-31T12:00:00Z`."""
    return moment.isoformat(timespec="seconds") + "Z"


def micros(moment: datetime.datetime | None) -> str | None:
    """`2026-01-31T12:00:00.000000`, UTC without a zone; as Nova writes the times of its extensions."""
    return None if moment is None else moment.isoformat(timespec="microseconds")
