# SPDX-License-Identifier: Apache-2.0
"""The cloud's Compute API as the operator's command reaches it: with the OS_ variables of an openrc, else as nova.conf says."""

from __future__ import annotations

import contextlib
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd.lite import db
from nova_lite.runtime import addresses

# An audit waits for the slowest host.
_TIMEOUT_S = 180.0


class AdminApi:
    """Requests with one token; the caller is an admin, or is refused.

    :raises errors.Unavailable: the cloud does not answer. :raises errors.Forbidden: it refuses.
    """

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        self._if_stopped = f"a cloud of one process is started by `nova-lite up --background --state {conf.state_path}`; see `nova-lite doctor` too"
        self._auth_url = os.environ.get("OS_AUTH_URL") or f"{addresses.api_url(conf)}/identity/v3"
        self._token, catalog = self._login(conf)
        self._compute = _public_url(catalog, "compute")

    def request(self, method: str, path: str) -> Any:  # JSON
        """The JSON of the answer; None: it has none."""
        return self._send(method, f"{self._compute}{path}", token=self._token)[0]

    def _login(self, conf: cfg.ConfigOpts) -> tuple[str, list[dict[str, Any]]]:
        user_domain, project_domain = (os.environ.get(f"OS_{kind}_DOMAIN_NAME", "Default") for kind in ("USER", "PROJECT"))
        user = {"name": os.environ.get("OS_USERNAME", "admin"), "domain": {"name": user_domain}, "password": _password(conf)}
        scope = {"project": {"name": os.environ.get("OS_PROJECT_NAME", "admin"), "domain": {"name": project_domain}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer, headers = self._send("POST", f"{self._auth_url.rstrip('/')}/auth/tokens", body)
        return headers["X-Subject-Token"], answer["token"]["catalog"]

    def _send(self, method: str, url: str, body: object = None, *, token: str = "") -> tuple[Any, Any]:  # JSON and headers
        """:raises OSError: nobody answers."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **({"X-Auth-Token": token} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # of nova.conf, OS_AUTH_URL or the catalog
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S) as response:
                text = response.read()
                return json.loads(text) if text else None, response.headers
        except urllib.error.HTTPError as error:
            refusal = errors.Unavailable if error.code >= 500 else errors.Forbidden
            raise refusal(reason=f"{method} {url}: {error.code} {_reason(error)}") from error
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            raise errors.Unavailable(reason=f"{url} does not answer: {reason}; {self._if_stopped}") from error


def _password(conf: cfg.ConfigOpts) -> str:
    """:raises errors.Unavailable: it is not known."""
    password = os.environ.get("OS_PASSWORD")
    if password is None:
        path = db.password_file(conf)
        try:
            with open(path) as file:
                password = file.read().strip()
        except OSError as error:
            raise errors.Unavailable(reason=(
                f"no admin's password in {path}: {error.strerror}. Name the cloud's state directory (--state DIR), or set the OS_ variables of an admin, "
                "as in its openrc")) from error
    return password


def _public_url(catalog: list[dict[str, Any]], kind: str) -> str:
    region = os.environ.get("OS_REGION_NAME")
    for service in catalog:
        for endpoint in service["endpoints"]:
            if service["type"] == kind and endpoint["interface"] == "public" and region in (None, endpoint.get("region_id")):
                return str(endpoint["url"]).rstrip("/")
    raise errors.Unavailable(reason=f"the catalog has no public endpoint of type {kind}")


def _reason(error: urllib.error.HTTPError) -> str:
    """The message in an error's body, as the services word it."""
    text = error.read().decode(errors="replace")
    with contextlib.suppress(ValueError, AttributeError, TypeError):
        fault = next(iter(json.loads(text).values()))
        return str(fault.get("message", text))
    return text[:200]
