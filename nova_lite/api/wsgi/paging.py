# SPDX-License-Identifier: Apache-2.0
"""Pages: `limit` and `marker` read from the query, the `next` link written to the answer."""

from __future__ import annotations

import urllib.parse

from nova_lite import errors
from nova_lite.api.wsgi.request import Request


def limit(req: Request) -> int:
    """How many items this page may have: the client's `limit`, at most `[api] max_limit`.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get("limit")
    if text is None:
        return int(req.conf.api.max_limit)
    if not text.isdecimal():
        raise errors.BadRequest(reason=f"limit param must be an integer not below 0, not {text!r}")
    return min(int(text), int(req.conf.api.max_limit))


def offset(req: Request) -> int:
    """How many items come before this page, where lists have no markers.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get("offset", "0")
    if not text.isdecimal() or int(text) > 0x7FFFFFFF:
        raise errors.BadRequest(reason=f"offset param must be an integer not below 0, not {text!r}")
    return int(text)


def next_link(req: Request, *, path: str, marker: str) -> dict[str, str]:
    """The link to the page after `marker`: this request's query with the marker replaced."""
    query = [(name, value) for name, value in req.query.items() if name != "marker"]
    query.append(("marker", marker))
    return {"rel": "next", "href": f"{req.base_url}{path}?{urllib.parse.urlencode(query)}"}
