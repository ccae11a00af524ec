# SPDX-License-Identifier: Apache-2.0
"""The built-in image service: Image API v2, rows in the database, data in files."""

from __future__ import annotations

import http

from nova_lite.api.image import images, info, schemas, transfer
from nova_lite.api.wsgi.request import Body

RESOURCES = (images, transfer, schemas, info)
VERSION = "v2.9"  # in Glance: tags, hidden images, sha512 hashes and `in:` filters; no import, no tasks


def fault_body(status: int, text: str) -> Body:
    """The body of an error: the SDK shows `message` of the inner object."""
    title = http.HTTPStatus(status).phrase if status in http.HTTPStatus.__members__.values() else "Error"
    return {"error": {"code": status, "title": title, "message": text}}


def versions(base_url: str) -> Body:
    """The versions document of the unversioned root, answered with 300; `base_url` is that root's public URL."""
    return {"versions": [{
        "id": VERSION, "status": "CURRENT", "links": [{"rel": "self", "href": f"{base_url.rstrip('/')}/v2/"}],
    }]}
