# SPDX-License-Identifier: Apache-2.0
"""The cloud's Compute API as the operator's command reaches it."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from oslo_config import cfg

from nova_lite import errors
from nova_lite.cmd.lite import credentials

# An audit waits for the slowest host.
_TIMEOUT_S = 180.0


class AdminApi:
    """Requests with one token; the caller is an admin, or is refused.

    :raises errors.Unavailable: the cloud does not answer. :raises errors.Forbidden: it refuses.
    """

    def __init__(self, conf: cfg.ConfigOpts, *, cloud: str | None = None) -> None:
        """`cloud`: of clouds.yaml, see credentials.find."""
        self._if_stopped = f"a cloud of one process is started by `nova-lite up --background --state {conf.state_path}`; see `nova-lite doctor` too"
        known = credentials.find(conf, cloud=cloud)
        self._tls = known.tls
        answer, headers = self._send("POST", f"{known.auth_url.rstrip('/')}/auth/tokens", known.auth)
        self._token = headers["X-Subject-Token"]
        self._compute = _public_url(answer["token"].get("catalog", []), "compute", region=known.region)

    def request(self, method: str, path: str) -> Any:  # JSON
        """The JSON of the answer; None: it has none."""
        return self._send(method, f"{self._compute}{path}", token=self._token)[0]

    def _send(self, method: str, url: str, body: object = None, *, token: str = "") -> tuple[Any, Any]:  # JSON and headers
        """:raises OSError: nobody answers."""
        headers = {"Content-Type": "application/json", "Accept": "application/json", **({"X-Auth-Token": token} if token else {})}
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(url, data, headers, method=method)  # of nova.conf, OS_AUTH_URL or the catalog
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S, context=self._tls) as response:
                text = response.read()
                return json.loads(text) if text else None, response.headers
        except urllib.error.HTTPError as error:
            refusal = errors.Unavailable if error.code >= 500 else errors.Forbidden
            raise refusal(reason=f"{method} {url}: {error.code} {_reason(error)}") from error
        except urllib.error.URLError as error:
            reason = getattr(error.reason, "strerror", None) or error.reason
            raise errors.Unavailable(reason=f"{url} does not answer: {reason}; {self._if_stopped}") from error


def _public_url(catalog: list[dict[str, Any]], kind: str, *, region: str | None) -> str:
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
