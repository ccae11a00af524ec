# SPDX-License-Identifier: Apache-2.0
"""/domains: there is one, `default`; clients read it before they create users and projects."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.identity.catalog import SELF, collection, listed
from nova_lite.api.identity.projects import enabled_filter
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import BOOLEAN, EMPTY_LIST, OBJECT, STRING, Field, Property, closed, view
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, Rule
from nova_lite.db.identity import users

FIELDS = (
    Field("id", lambda d: d.id, STRING),
    Field("name", lambda d: d.name, STRING),
    Field("description", lambda d: d.description, STRING),
    Field("enabled", lambda d: d.enabled, BOOLEAN),
    Field("tags", lambda _: [], EMPTY_LIST),
    Field("options", lambda _: {}, OBJECT),
)
_GET = Rule("identity:get_domain", ANYONE)
_DOMAIN = (*FIELDS, Property("links", SELF))


def domain_view(req: Request, domain: users.Domain) -> Body:
    """A domain as Keystone shows it."""
    return {**view(FIELDS, domain, req), "links": {"self": f"{req.base_url}/domains/{domain.id}"}}


@route("GET", "/domains", policy=Rule("identity:list_domains", ADMIN), response=listed("domains", _DOMAIN))
def index(req: Request) -> Body:
    """List domains; `name` and `enabled` filter. 200."""
    rows = users.find(req.db, users.Domain, name=req.query.get("name"), is_enabled=enabled_filter(req))
    return collection(req, "domains", "/domains", [domain_view(req, domain) for domain in rows])


@route("GET", "/domains/{domain_id}", policy=_GET, response=closed(domain=_DOMAIN))
def show(req: Request, domain_id: str) -> Body:
    """Show one domain: that of the caller's project, or any for an admin. 200. 403: another one. 404: no such domain."""
    if not req.ctxt.is_admin and not (req.ctxt.project_id and domain_id == users.DEFAULT_DOMAIN):
        raise errors.PolicyForbids(rule=_GET.name)
    return {"domain": domain_view(req, users.get(req.db, users.Domain, domain_id))}
