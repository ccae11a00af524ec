# SPDX-License-Identifier: Apache-2.0
"""The identity service behind its real filters, on SQLite or another database, with a clock that tests set."""

from __future__ import annotations

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import webob

from nova_lite import conf as options
from nova_lite.api import identity
from nova_lite.api.identity import catalog
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.filters.auth import LocalAuth
from nova_lite.api.wsgi.filters.request_id import RequestId
from nova_lite.api.wsgi.filters.size_limit import SizeLimit
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.api.wsgi.routing import routes_of
from nova_lite.api.wsgi.service import ApiService
from nova_lite.db.engine import Database
from nova_lite.db.identity import users
from nova_lite.rpc import transport
from nova_lite.runtime import tokens
from tests.support import databases
from tests.support.api import declared_responses, schemas
from tests.support.api.policies import SharedPolicy

ADMIN_PASSWORD = "first secret"
LIMIT = 2000
_SERVICE = ApiService("identity", identity.RESOURCES, identity.fault_body, version_document=catalog.version)


@dataclasses.dataclass
class Clock:
    """The real time plus the seconds that a test adds."""

    added: float = 0.0

    def __call__(self) -> float:
        return time.time() + self.added


class IdentityCloud:
    """One API process with the identity service under /identity/v3."""

    def __init__(self, directory: Path, *, database: Database | None = None) -> None:
        file = directory / "nova.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {directory}\ntransport_url = inprocess://\n")
        self.conf = options.load([], files=[str(file)])
        self.database = database or databases.fresh(directory)
        with self.database.writer() as session:
            users.bootstrap(session, ADMIN_PASSWORD)
        tokens.KeyRepository(tokens.directory_of(self.conf)).create()
        self.clock = Clock()
        self.tokens = tokens.open_tokens(self.conf)
        parts = Parts(self.conf, self.database, RpcClients(transport.connect(self.conf)))
        policy = SharedPolicy(self.conf, [route.policy for route in routes_of(identity.RESOURCES)])
        keys = tokens.KeyRepository(tokens.directory_of(self.conf))
        issuer = tokens.Tokens(keys, lifetime_s=3600, clock=self.clock)
        authenticated = LocalAuth(schemas.share(Application(_SERVICE, parts, policy)), self.database, issuer, clock=self.clock)
        self.app = RequestId(SizeLimit(authenticated, limit=LIMIT))

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str = "",
        headers: dict[str, str] | None = None,
    ) -> webob.Response:
        """Send one request; `path` below /identity/v3."""
        http = webob.Request.blank(path, method=method, headers=headers or {}, base_url="http://cloud/identity/v3")
        if token:
            http.headers["X-Auth-Token"] = token
        if body is not None:
            http.body = json.dumps(body).encode()
            http.content_type = "application/json"
        response = http.get_response(self.app)
        if response.status_int < 300 and path != "/":
            declared_responses.check("identity", method, path, body, "2.0", response.json if response.body else None)
        return response

    def log_in(
        self, name: str = "admin", password: str = ADMIN_PASSWORD, *, project: str | None = "admin"
    ) -> webob.Response:
        """POST /auth/tokens by names; `project` None: without a scope."""
        domain = {"id": "default"}
        auth: dict[str, Any] = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": name, "domain": domain, "password": password}},
            }
        }
        if project is not None:
            auth["scope"] = {"project": {"name": project, "domain": domain}}
        return self.call("POST", "/auth/tokens", {"auth": auth})

    def token(self, name: str = "admin", password: str = ADMIN_PASSWORD, *, project: str | None = "admin") -> str:
        """A new token of the user."""
        return str(self.log_in(name, password, project=project).headers["X-Subject-Token"])

    def make_user(self, name: str, *, project: str, role: str, admin: str) -> tuple[str, str]:
        """Create a user with password "NAME secret" and the role in the project, created if missing; ids of both."""
        projects = self.call("GET", f"/projects?name={project}", token=admin).json["projects"]
        row = (
            projects[0]
            if projects
            else self.call("POST", "/projects", {"project": {"name": project}}, token=admin).json["project"]
        )
        user = self.call("POST", "/users", {"user": {"name": name, "password": f"{name} secret"}}, token=admin).json[
            "user"
        ]
        role_id = self.call("GET", f"/roles?name={role}", token=admin).json["roles"][0]["id"]
        self.call("PUT", f"/projects/{row['id']}/users/{user['id']}/roles/{role_id}", token=admin)
        return str(user["id"]), str(row["id"])
