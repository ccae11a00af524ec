# SPDX-License-Identifier: Apache-2.0
"""Error bodies as the Block Storage API words them: one key that names the kind of fault."""

from __future__ import annotations

from nova_lite.api.wsgi.request import Body

_NAMES = {
    400: "badRequest", 401: "unauthorized", 403: "forbidden", 404: "itemNotFound", 405: "badMethod", 409: "conflictingRequest",
    413: "overLimit", 415: "badMediaType", 429: "overLimit", 501: "notImplemented", 503: "serviceUnavailable",
}


def fault_body(status: int, text: str) -> Body:
    """`{"itemNotFound": {"code": 404, "message": text}}` and the like; a quota's has `retryAfter`."""
    later = {"retryAfter": "0"} if status == 413 else {}
    return {_NAMES.get(status, "computeFault"): {"code": status, "message": text, **later}}
