# SPDX-License-Identifier: Apache-2.0
"""The Block Storage API's version documents, as Cinder words them."""

from __future__ import annotations

from nova_lite.api.volume.microversions import MAXIMUM, MINIMUM
from nova_lite.api.wsgi.request import Body


def versions(base_url: str) -> Body:
    """The document of `GET /volume` (sent with 300); `base_url`: the URL of that root."""
    return version(f"{base_url.rstrip('/')}/v3")


def version(base_url: str) -> Body:
    """The document of `GET /volume/v3`: the same list; `base_url`: the URL of that root."""
    root = base_url.rstrip("/")
    links = [
        {"rel": "describedby", "type": "text/html", "href": "https://docs.openstack.org/"},
        {"rel": "self", "href": f"{root}/"},
        {"rel": "service-desc", "type": "application/vnd.oai.openapi+json;version=3.1", "href": f"{root}/openapi.json"},  # RFC 8631
    ]
    return {"versions": [{
        "id": "v3.0", "status": "CURRENT", "version": MAXIMUM, "min_version": MINIMUM, "updated": "2026-08-01T00:00:00Z", "links": links,
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.volume+json;version=3"}],
    }]}
