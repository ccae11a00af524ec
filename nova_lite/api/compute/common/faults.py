# SPDX-License-Identifier: Apache-2.0
"""Error bodies as the Compute API words them: one key that names the kind of fault."""

from __future__ import annotations

from nova_lite.api.wsgi.request import Body

_NAMES = {
    400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod",
    406: "notAcceptable", 409: "conflictingRequest", 413: "overLimit", 415: "badMediaType", 429: "overLimit",
    501: "notImplemented", 503: "serviceUnavailable",
}


def fault_body(status: int, text: str) -> Body:
    """`{"itemNotFound": {"code": 404, "message": text}}` and the like."""
    return {_NAMES.get(status, "computeFault"): {"code": status, "message": text}}
