# SPDX-License-Identifier: Apache-2.0
"""The unversioned roots: the versions of each service, which clients request first and without a token."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import webob
from oslo_config import cfg

from nova_lite.api import image, network, volume
from nova_lite.api.compute.common import version_documents
from nova_lite.api.identity import catalog
from nova_lite.api.wsgi.request import Body

# Root → (status, document of the root's URL), as the OpenStack services answer.
_ROOTS: dict[str, tuple[int, Callable[[str], Body]]] = {
    "": (200, version_documents.versions), "/identity": (300, catalog.versions),
    "/image": (300, image.versions), "/network": (200, network.versions),
    "/volume": (300, volume.versions),
}


_METHODS = ("GET", "HEAD", "OPTIONS")


class Versions:
    """WSGI application of the unversioned roots and of every path that no service has."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._conf = conf

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        http = webob.Request(environ)
        if http.method not in _METHODS:
            return _not_allowed(http.method)(environ, start_response)
        root, base_url = http.script_name, self._conf.api.public_url.rstrip("/") or http.host_url
        status, document = _ROOTS.get(root, _ROOTS[""])
        if http.path_info.rstrip("/"):
            return self._other_path(root, base_url, http)(environ, start_response)
        return _json(status, document(f"{base_url}{root}"))(environ, start_response)

    def _other_path(self, root: str, base_url: str, http: webob.Request) -> webob.Response:
        """Compute answers any other unversioned path with its versions; the other services answer 404."""
        if root:
            return _json(404, {"error": {"code": 404, "title": "Not Found", "message": f"{http.path} does not exist"}})
        return _json(300, {"choices": version_documents.choices(base_url, http.path_info)})


def _not_allowed(method: str) -> webob.Response:
    answer = _json(405, {"error": {"code": 405, "title": "Method Not Allowed", "message": f"versions are read: {method} is not allowed"}})
    answer.allow = _METHODS
    return answer


def _json(status: int, document: Body) -> webob.Response:
    return webob.Response(status=status, body=json.dumps(document).encode(), content_type="application/json")
