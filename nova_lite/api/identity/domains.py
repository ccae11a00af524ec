# SPDX-License-Identifier: Apache-2.0
"""/domains: there is one, `default`; clients read it before they create users and projects."""

from __future__ import annotations

from nova_lite.api.identity.catalog import collection
from nova_lite.api.identity.projects import enabled_filter
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, Rule
from nova_lite.db.identity import users


def domain_view(req: Request, domain: users.Domain) -> Body:
    """A domain as Keystone shows it."""
    return {
        "id": domain.id,
        "name": domain.name,
        "description": domain.description,
        "enabled": domain.enabled,
        "tags": [],
        "options": {},
        "links": {"self": f"{req.base_url}/domains/{domain.id}"},
    }


@route("GET", "/domains", policy=Rule("identity:list_domains", ADMIN))
def index(req: Request) -> Body:
    """List domains; `name` and `enabled` filter. 200."""
    rows = users.find(req.db, users.Domain, name=req.query.get("name"), is_enabled=enabled_filter(req))
    return collection(req, "domains", "/domains", [domain_view(req, domain) for domain in rows])


@route("GET", "/domains/{domain_id}", policy=Rule("identity:get_domain", ADMIN))
def show(req: Request, domain_id: str) -> Body:
    """Show one domain. 200. 404: no such domain."""
    return {"domain": domain_view(req, users.get(req.db, users.Domain, domain_id))}
