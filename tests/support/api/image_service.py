# SPDX-License-Identifier: Apache-2.0
"""The image service alone, on SQLite and a directory: for tests, and to run it as a process of its own."""

from __future__ import annotations

import json
import os
import pathlib
import sys
from collections.abc import Iterable
from typing import Any

import webob
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite.api import image
from nova_lite.api.wsgi import routing
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.api.wsgi.service import ApiService
from nova_lite.context import ADMIN, MEMBER, READER, SERVICE, Context, expand_roles
from nova_lite.rpc import transport
from nova_lite.runtime import concurrency
from tests.support import databases
from tests.support.api import declared_responses, schemas
from tests.support.api.policies import SharedPolicy

DATA = os.urandom(3 * 1024**2 + 17)
CALLERS = {
    "alice": Context(user_id="alice", project_id="red", roles=expand_roles({MEMBER})),
    "rita": Context(user_id="rita", project_id="red", roles=expand_roles({READER})),
    "bob": Context(user_id="bob", project_id="blue", roles=expand_roles({MEMBER})),
    "root": Context(user_id="root", project_id="ops", roles=expand_roles({ADMIN})),
    "nova": Context(user_id="nova", project_id="service", roles=frozenset({SERVICE})),
    "noone": Context(user_id="noone", project_id="red"),
}
_SERVICE = ApiService("image", image.RESOURCES, image.fault_body)


class ImageService:
    """The WSGI application; the header X-User selects the caller, in place of the token filter."""

    def __init__(self, directory: pathlib.Path, *overrides: str) -> None:
        file = directory / "nova.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {directory}\ntransport_url = inprocess://\n[image]\n"
                        + "\n".join(overrides))
        self.conf = options.load([], conf=cfg.ConfigOpts(), files=[str(file)])
        self.database = databases.fresh(directory)
        rules = {route.policy for route in routing.routes_of(image.RESOURCES)}
        parts = Parts(self.conf, self.database, RpcClients(transport.connect(self.conf)))
        self._application = schemas.share(Application(_SERVICE, parts, SharedPolicy(self.conf, rules)))
        self.files = directory / "images"

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        user = environ.get("HTTP_X_USER")
        if user:
            environ["nova.context"] = CALLERS[user]
        return self._application(environ, start_response)

    def request(self, method: str, path: str, *, user: str = "alice", **options: Any) -> webob.Response:
        """The response to one request."""
        request = webob.Request.blank(path, method=method, **options)
        if user:
            request.headers["X-User"] = user
        response = request.get_response(self)
        if response.status_int < 300 and not path.endswith("/file"):
            declared_responses.check("image", method, path, None, "2.0", response.json if response.body else None)
        return response

    def create(self, *, user: str = "alice", **fields: Any) -> dict[str, Any]:
        """Create a queued raw image."""
        body = {"name": "i", "disk_format": "raw", "container_format": "bare", **fields}
        answer = self.request("POST", "/images", user=user, json=body)
        assert answer.status_int == 201, answer.text
        return dict(answer.json)

    def upload(self, image_id: str, content: bytes, *, user: str = "alice") -> webob.Response:
        """The response to PUT of the data."""
        return self.request("PUT", f"/images/{image_id}/file", user=user, body=content,
                        content_type="application/octet-stream")

    def patch(self, image_id: str, *steps: dict[str, Any], user: str = "alice") -> webob.Response:
        """The response to PATCH with these operations."""
        return self.request("PATCH", f"/images/{image_id}", user=user, body=json.dumps(list(steps)).encode(),
                        content_type="application/openstack-images-v2.1-json-patch")

    def stored(self) -> list[str]:
        """Names of the files in the store."""
        return sorted(os.listdir(self.files)) if self.files.exists() else []


def message(answer: webob.Response) -> str:
    """The message of an error."""
    return str(answer.json["error"]["message"])


def main() -> None:
    """Serve a directory on loopback and print the port. Arguments: directory [image option=value …]."""
    listener = concurrency.listen("127.0.0.1", 0)
    service = ImageService(pathlib.Path(sys.argv[1]), *sys.argv[2:])
    sys.stdout.write(f"{listener.getsockname()[1]}\n")
    sys.stdout.flush()
    concurrency.HttpServer(service, listener, threads=8).serve()
