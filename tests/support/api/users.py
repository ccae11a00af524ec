# SPDX-License-Identifier: Apache-2.0
"""The users of tests that call one service without its middleware, and their requests."""

from __future__ import annotations

import json
import re
from typing import Any

import webob

from nova_lite.context import Context, expand_roles

PROJECTS = {"alice": "a" * 32, "bob": "b" * 32, "admin": "c" * 32, "reader": "a" * 32, "nobody": "a" * 32,
            "manager": "a" * 32, "service": "d" * 32, "nova": "a" * 32}
ROLES = {"alice": {"member"}, "manager": {"manager"}, "service": {"service"}, "nova": {"member", "service"}, "bob": {"member"}, "admin": {"admin"}, "reader": {"reader"}, "nobody": set()}


def request_as(user: str, method: str, path: str, body: Any, *, base_url: str) -> webob.Request:
    """One with this JSON, as the middleware hands it on for the user; "": for nobody."""
    http = webob.Request.blank(path, method=method, base_url=base_url)
    # As our HTTP server and paste's urlmap leave it.
    http.environ["RAW_PATH_INFO"] = http.environ["SCRIPT_NAME"] + path.partition("?")[0]
    http.environ["PATH_INFO"] = re.sub("//+", "/", http.environ["PATH_INFO"])
    if body is not None:
        http.body, http.content_type = json.dumps(body).encode(), "application/json"
    if user:
        http.environ["nova.context"] = Context(user_id=user, project_id=PROJECTS[user], roles=expand_roles(ROLES[user]))
    return http
