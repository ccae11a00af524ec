# SPDX-License-Identifier: Apache-2.0
"""The endpoints of the cloud that is measured, and connections to them."""

from __future__ import annotations

import dataclasses
import http.client
import json
import re
import sys
import urllib.parse
from typing import Any

MICROVERSION = "2.47"
Body = dict[str, Any]


class BenchError(Exception):
    """The cloud cannot be measured; the text says why and what to do."""


def say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class Login:
    """How to get a token: Keystone v3 with a password."""

    auth_url: str
    username: str
    password: str
    project: str
    user_domain: str = "Default"
    project_domain: str = "Default"
    region: str = ""


class Wire:
    """One keep-alive connection per host and thread."""

    def __init__(self, token: str = "") -> None:
        self.token = token
        self.timeout_s = 120.0
        self._open: dict[str, http.client.HTTPConnection] = {}

    def request(self, method: str, url: str, body: object = None, *, raw: bytes | None = None) -> tuple[int, Any, Any]:
        """Status, JSON (None: no body) and headers; one retry when a kept connection was closed meanwhile."""
        parts = urllib.parse.urlsplit(url)
        path = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        headers = {"X-Auth-Token": self.token, "OpenStack-API-Version": f"compute {MICROVERSION}", "Accept": "application/json"}
        data = raw
        if raw is not None:
            headers["Content-Type"] = "application/octet-stream"
        elif body is not None:
            data, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        for attempt in (1, 2):
            wire = self._open.get(parts.netloc) or self._connect(parts)
            try:
                wire.request(method, path, data, headers)
                answer = wire.getresponse()
                text = answer.read()
            except (http.client.HTTPException, OSError):
                wire.close()
                self._open.pop(parts.netloc, None)
                if attempt == 2 or method == "POST":
                    raise
                continue
            return answer.status, json.loads(text) if text else None, answer.headers
        raise AssertionError

    def _connect(self, parts: urllib.parse.SplitResult) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        wire = kind(str(parts.hostname), parts.port, timeout=self.timeout_s)
        self._open[parts.netloc] = wire
        return wire

    def close(self) -> None:
        for wire in self._open.values():
            wire.close()


class Cloud:
    """The endpoints and what is booted: made once, used by all threads."""

    def __init__(self, login: Login) -> None:
        self._login = login
        wire = Wire()
        user = {"name": login.username, "password": login.password, "domain": {"name": login.user_domain}}
        scope = {"project": {"name": login.project, "domain": {"name": login.project_domain}}}
        identity = {"methods": ["password"], "password": {"user": user}}
        status, body, headers = wire.request(
            "POST", f"{login.auth_url.rstrip('/')}/auth/tokens", {"auth": {"identity": identity, "scope": scope}})
        if status != 201:
            raise BenchError(f"{login.auth_url} refuses the login ({status}): {body}")
        wire.close()
        self.token = headers["X-Subject-Token"]
        self.project_id = body["token"]["project"]["id"]
        self.catalog = {entry["type"]: self._public(entry) for entry in body["token"]["catalog"]}
        self.compute = self._of("compute")

    def _public(self, entry: Body) -> str:
        found = [e for e in entry["endpoints"] if e["interface"] == "public"
                 and (not self._login.region or e.get("region_id", e.get("region")) == self._login.region)]
        return str(found[0]["url"]).rstrip("/") if found else ""

    def _of(self, kind: str, version: str = "") -> str:
        url = self.catalog.get(kind, "")
        if not url:
            raise BenchError(f"the catalog has no public endpoint of type {kind}")
        return url if not version or re.search(r"/v\d", urllib.parse.urlsplit(url).path) else f"{url}/{version}"

    @property
    def image(self) -> str:
        return self._of("image", "v2")

    @property
    def network(self) -> str:
        return self._of("network", "v2.0")

    def wire(self) -> Wire:
        return Wire(self.token)


def need(wire: Wire, method: str, url: str, body: object = None, *, raw: bytes | None = None) -> Any:
    """The JSON of an answer that has to be a success."""
    status, answer, _ = wire.request(method, url, body, raw=raw)
    if status >= 300:
        raise BenchError(f"{method} {url}: {status} {json.dumps(answer)[:500]}")
    return answer
