# SPDX-License-Identifier: Apache-2.0
"""The whole API as etc/api-paste.ini composes it, with real tokens, over SQLite; workers are not there."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
import webob

from nova_lite import conf as options
from nova_lite.api import deploy
from nova_lite.api.compute.microversions import MAXIMUM
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.db.base import Base
from nova_lite.db.compute.servers import Server
from nova_lite.db.identity import users
from nova_lite.db.volume import volume_types
from nova_lite.rpc import transport
from nova_lite.runtime import tokens
from tests.support import databases
from tests.support.api.compute_api import host

ADMIN_PASSWORD = "admin secret"
NEWEST = MAXIMUM


@dataclasses.dataclass(frozen=True)
class Who:
    """A user with a token of their one project."""

    user_id: str
    project_id: str
    token: str


class PasteCloud:
    """`admin` of the project admin, and one compute host, h1."""

    def __init__(self, directory: Path) -> None:
        file = directory / "nova.conf"
        file.write_text(f"[DEFAULT]\nstate_path = {directory}\ntransport_url = kombu+memory://\n"
                        "[api]\npublic_url = http://cloud\n")
        self.conf = options.load([], files=[str(file)])
        self.database = databases.fresh(directory)
        with self.database.writer() as session:
            users.bootstrap(session, ADMIN_PASSWORD)
            volume_types.bootstrap(session)
            session.add_all(host("h1"))
        tokens.KeyRepository(tokens.directory_of(self.conf)).create()
        self._bus = transport.connect(self.conf)
        self._app = deploy.load(Parts(self.conf, self.database, RpcClients(self._bus)))
        self.admin = self.log_in("admin", ADMIN_PASSWORD, "admin")

    def close(self) -> None:
        self._bus.cleanup()
        self.database.close()

    def send(self, http: webob.Request) -> webob.Response:
        """A request of the test's own making; the answer is read to its end."""
        answer = http.get_response(self._app)
        assert answer.body is not None
        return answer

    def request(self, method: str, path: str, body: Any = None, *, token: str = "", version: str = NEWEST,
            headers: dict[str, str] | None = None) -> webob.Response:
        """Send one request; a body of bytes goes as it is, any other as JSON."""
        http = webob.Request.blank(path, method=method, base_url="http://cloud", headers=headers or {})
        http.headers.setdefault("OpenStack-API-Version", f"{'volume' if version.startswith('3.') else 'compute'} {version}")
        if token:
            http.headers["X-Auth-Token"] = token
        if body is not None:
            http.body = body if isinstance(body, bytes) else json.dumps(body).encode()
            http.headers.setdefault("Content-Type", "application/json")
            if not http.headers["Content-Type"]:
                http.content_type = "application/json"
        return self.send(http)

    def made(self, path: str, body: Any, *, token: str, version: str = NEWEST) -> Any:
        """POST what is to succeed; the one object of the answer."""
        answer = self.request("POST", path, body, token=token, version=version)
        assert answer.status_int < 300, answer.text
        document = answer.json
        return document if "id" in document else next(iter(document.values()))

    def log_in(self, name: str, password: str, project: str) -> Who:
        domain = {"id": "default"}
        answer = self.request("POST", "/identity/v3/auth/tokens", {"auth": {
            "identity": {"methods": ["password"], "password": {"user": {"name": name, "domain": domain, "password": password}}},
            "scope": {"project": {"name": project, "domain": domain}}}})
        token = answer.json["token"]
        return Who(token["user"]["id"], token["project"]["id"], answer.headers["X-Subject-Token"])

    def add_member(self, name: str) -> Who:
        """A new user, member of a new project of the same name."""
        admin = self.admin.token
        project = self.made("/identity/v3/projects", {"project": {"name": name}}, token=admin)["id"]
        user = self.made("/identity/v3/users", {"user": {"name": name, "password": f"{name} secret"}}, token=admin)["id"]
        role = self.request("GET", "/identity/v3/roles?name=member", token=admin).json["roles"][0]["id"]
        self.request("PUT", f"/identity/v3/projects/{project}/users/{user}/roles/{role}", token=admin)
        return self.log_in(name, f"{name} secret", name)

    def settle(self, server_id: str) -> None:
        """The server is active on h1: what the conductor would have written."""
        with self.database.writer() as session:
            session.execute(sa.update(Server).where(Server.id == server_id).values(
                vm_state="active", task_state=None, host="h1", agent="h1", power_state=1))

    def rows(self) -> dict[str, set[str]]:
        """Every row of every table, as the driver returns them."""
        preparer, found = self.database.reading.dialect.identifier_preparer, {}
        with self.database.reading.connect() as connection, contextlib.closing(connection.connection.cursor()) as cursor:
            for table in Base.metadata.sorted_tables:
                cursor.execute(f"SELECT {', '.join(map(preparer.format_column, table.columns))} FROM {preparer.format_table(table)}")
                found[table.name] = {repr(tuple(row)) for row in cursor.fetchall()}
        return found
