# SPDX-License-Identifier: Apache-2.0
"""Pages: `limit`, `offset` and least values read from the query, the `next` link written to the answer."""

from __future__ import annotations

import urllib.parse

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.validation import MOST, whole


def limit(req: Request) -> int:
    """How many items this page may have: the client's `limit`, at most `[api] max_limit`.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get("limit")
    if text is None:
        return int(req.conf.api.max_limit)
    found = whole(text)
    if found is None:
        raise errors.BadRequest(reason=f"limit param must be an integer of 0 to {MOST}, not {text[:40]!r}")
    return min(found, int(req.conf.api.max_limit))


def offset(req: Request) -> int:
    """How many items come before this page, where lists have no markers.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get("offset", "0")
    found = whole(text)
    if found is None:
        raise errors.BadRequest(reason=f"offset param must be an integer of 0 to {MOST}, not {text[:40]!r}")
    return found


def least(req: Request, name: str) -> int:
    """The least value that a filter such as `minRam` lets pass; 0 without it.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get(name, "0")
    found = whole(text)
    if found is None:
        raise errors.BadRequest(reason=f"Invalid {name} filter [{text}]")
    return found


def next_link(req: Request, *, path: str, marker: str) -> dict[str, str]:
    """The link to the page after `marker`: this request's query with the marker replaced."""
    query = [(name, value) for name, value in req.query.items() if name != "marker"]
    query.append(("marker", marker))
    return {"rel": "next", "href": f"{req.base_url}{path}?{urllib.parse.urlencode(query)}"}
