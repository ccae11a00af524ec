# SPDX-License-Identifier: Apache-2.0
"""Pagination: `limit`, `offset` and minimum filters read from the query, the `next` link written to the response."""

from __future__ import annotations

import urllib.parse

from nova_lite import errors
from nova_lite.api.wsgi.request import Request
from nova_lite.api.wsgi.validation import MAX_INTEGER, integer


def limit(req: Request) -> int:
    """How many items this page may have: the client's `limit`, at most `[api] max_limit`.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get("limit")
    if text is None:
        return int(req.conf.api.max_limit)
    number = integer(text)
    if number is None:
        raise errors.BadRequest(reason=f"limit param must be an integer of 0 to {MAX_INTEGER}, not {text[:40]!r}")
    return min(number, int(req.conf.api.max_limit))


def offset(req: Request) -> int:
    """How many items come before this page, where lists have no markers.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get("offset", "0")
    number = integer(text)
    if number is None:
        raise errors.BadRequest(reason=f"offset param must be an integer of 0 to {MAX_INTEGER}, not {text[:40]!r}")
    return number


def minimum(req: Request, name: str) -> int:
    """The value of a minimum filter such as `minRam`; 0 without it.

    :raises errors.BadRequest: not a number, or negative.
    """
    text = req.query.get(name, "0")
    number = integer(text)
    if number is None:
        raise errors.BadRequest(reason=f"Invalid {name} filter [{text}]")
    return number


def next_link(req: Request, *, path: str, marker: str) -> dict[str, str]:
    """The link to the page after `marker`: this request's query with the marker replaced."""
    query = [(name, value) for name, value in req.query.items() if name != "marker"]
    query.append(("marker", marker))
    return {"rel": "next", "href": f"{req.base_url}{path}?{urllib.parse.urlencode(query)}"}
