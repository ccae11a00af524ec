# SPDX-License-Identifier: Apache-2.0
"""A real Keystone from PyPI, in a virtualenv of its own, over HTTP on loopback with SQLite."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from tests.support.wait import wait_until
from tools.lib.services import free_port

RELEASE = "keystone==30.0.0"
CACHE = Path(os.environ.get("NOVA_LITE_CACHE", "/var/cache/nova-lite"))
ADMIN_PASSWORD = "keystone admin secret"
_ENVIRONMENT = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}  # what it compiles is kept: nothing of it is compiled before
_SERVE = """
import sys
from werkzeug.serving import WSGIRequestHandler, run_simple
from keystone.server import wsgi
WSGIRequestHandler.protocol_version = "HTTP/1.1"
port = int(sys.argv.pop())  # Keystone reads the command line as its own
run_simple("127.0.0.1", port, wsgi.initialize_public_application(), threaded=True)
"""


def virtualenv() -> Path:
    """The virtualenv with Keystone, installed on first use; several test runs may do so at once."""
    CACHE.mkdir(parents=True, exist_ok=True)
    made = CACHE / "keystone-venv"
    with open(CACHE / "keystone-venv.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        mark = made / "installed"
        if not mark.exists() or mark.read_text() != RELEASE:
            # By this Python's pip, which is newer and several times as quick; Python compiles what Keystone imports.
            subprocess.run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(made)], check=True, timeout=120)
            pip = [sys.executable, "-m", "pip", "--python", str(made / "bin" / "python"), "install", "--quiet", "--no-compile", RELEASE]
            subprocess.run(pip, check=True, timeout=1200)
            mark.write_text(RELEASE)
    return made


class RealKeystone:
    """One Keystone process. `start` returns when it answers; `stop` ends it."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._python = virtualenv() / "bin" / "python"
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._port}/v3"
        self._admin = ""

    def start(self) -> None:
        """Make its database, keys and first admin, then serve."""
        self._configure()
        for step in (
            ("db_sync",),
            ("fernet_setup", "--keystone-user", "root", "--keystone-group", "root"),
            (
                "bootstrap",
                "--bootstrap-password",
                ADMIN_PASSWORD,
                "--bootstrap-region-id",
                "RegionOne",
                "--bootstrap-public-url",
                self.url,
                "--bootstrap-internal-url",
                self.url,
                "--bootstrap-admin-url",
                self.url,
            ),
        ):
            self._manage(*step)
        with open(self._directory / "keystone.log", "ab") as log:
            self._process = subprocess.Popen(
                [str(self._python), "-c", _SERVE, str(self._port)],
                stdout=log,
                stderr=log,
                cwd=self._directory,
                env={**_ENVIRONMENT, "OS_KEYSTONE_CONFIG_FILES": str(self._directory / "keystone.conf")},
            )
        self._wait()
        self._admin = self.log_in("admin", ADMIN_PASSWORD, project="admin")

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def call(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        """Call Keystone's API as its admin; the answer's JSON."""
        _, answer = self._call(method, path, body, self._admin)
        return answer

    def log_in(self, name: str, password: str, *, project: str | None) -> str:
        """A token of the user, scoped to the project."""
        domain = {"id": "default"}
        auth: dict[str, Any] = {
            "identity": {
                "methods": ["password"],
                "password": {"user": {"name": name, "domain": domain, "password": password}},
            }
        }
        auth["scope"] = {"project": {"name": project, "domain": domain}} if project else "unscoped"
        headers, _ = self._call("POST", "/auth/tokens", {"auth": auth}, "")
        return headers["X-Subject-Token"]

    def make_project(self, name: str) -> str:
        """A new project; its id."""
        return str(self.call("POST", "/projects", {"project": {"name": name, "domain_id": "default"}})["project"]["id"])

    def make_user(self, name: str, password: str, *, project_id: str, role: str) -> str:
        """A new user with the role in the project; his id."""
        params = {"user": {"name": name, "password": password, "domain_id": "default"}}
        user_id = str(self.call("POST", "/users", params)["user"]["id"])
        role_id = self.call("GET", f"/roles?name={role}")["roles"][0]["id"]
        self.call("PUT", f"/projects/{project_id}/users/{user_id}/roles/{role_id}")
        return user_id

    def revoke(self, token: str) -> None:
        """End the token."""
        self._call("DELETE", "/auth/tokens", None, self._admin, {"X-Subject-Token": token})

    def _call(
        self, method: str, path: str, body: object, token: str, extra: dict[str, str] | None = None
    ) -> tuple[dict[str, str], dict[str, Any]]:
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": "application/json", **({"X-Auth-Token": token} if token else {}), **(extra or {})}
        request = urllib.request.Request(f"{self.url}{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            raw = answer.read()
            return dict(answer.headers), json.loads(raw) if raw else {}

    def _configure(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True)
        (self._directory / "keystone.conf").write_text(
            f"[database]\nconnection = sqlite:///{self._directory}/keystone.sqlite\n"
            f"[token]\nprovider = fernet\n[fernet_tokens]\nkey_repository = {self._directory}/keys\n"
            f"[credential]\nkey_repository = {self._directory}/credential-keys\n"
            "[identity]\npassword_hash_rounds = 4\n"  # fewer rounds: this Keystone guards nothing
        )

    def _manage(self, *command: str) -> None:
        run = subprocess.run(
            [
                str(self._python.with_name("keystone-manage")),
                "--config-file",
                str(self._directory / "keystone.conf"),
                *command,
            ],
            cwd=self._directory,
            env=_ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert run.returncode == 0, f"keystone-manage {command[0]} failed: {run.stdout[-2000:]}{run.stderr[-2000:]}"

    def _wait(self) -> None:
        def is_answering() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, f"Keystone ended: {self._log()}"
            try:
                with urllib.request.urlopen(self.url, timeout=10):
                    return True
            except (urllib.error.URLError, OSError):
                return False

        wait_until(is_answering, "Keystone to answer", seconds=120, details=self._log)

    def _log(self) -> str:
        return (self._directory / "keystone.log").read_text(errors="replace")[-3000:]
