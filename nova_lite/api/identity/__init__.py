# SPDX-License-Identifier: Apache-2.0
"""The built-in identity service: Keystone's v3 API as far as clients, Tempest and operators need it."""

import http

from nova_lite.api.identity import (
    absent,
    application_credentials,
    catalog,
    domains,
    projects,
    roles,
    tags,
    tokens,
    users,
)
from nova_lite.api.wsgi.request import Body

RESOURCES = (tokens, projects, tags, users, application_credentials, roles, domains, catalog, absent)


def fault_body(status: int, text: str) -> Body:
    """Keystone's form of an error."""
    return {"error": {"code": status, "title": http.HTTPStatus(status).phrase, "message": text}}
