# SPDX-License-Identifier: Apache-2.0
"""The list of API extensions, which old clients look at; microversions have replaced extensions, and the list is the same in every Nova."""

from __future__ import annotations

from nova_lite import errors
from nova_lite.api.compute.legacy.extension_names import EXTENSIONS
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, STRING, closed, each, many
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ANYONE, Rule

LIST = Rule("os_compute_api:extensions", ANYONE)
_UPDATED = "2014-12-03T00:00:00Z"  # one date for all, as Nova has it
_NAMESPACE = "http://docs.openstack.org/compute/ext/fake_xml"  # likewise

_EXTENSION = closed(**each("alias name description namespace updated", STRING), links=EMPTY_LIST)


def _document(alias: str, name: str, description: str) -> Body:
    return {"alias": alias, "name": name, "description": description, "namespace": _NAMESPACE, "updated": _UPDATED, "links": []}


@route("GET", "/extensions", policy=LIST, response=closed(extensions=many(_EXTENSION)))
def index(req: Request) -> Body:
    """List all extensions. 200."""
    return {"extensions": [_document(*extension) for extension in EXTENSIONS]}


@route("GET", "/extensions/{alias}", policy=LIST, response=closed(extension=_EXTENSION))
def show(req: Request, alias: str) -> Body:
    """Show one extension. 200. 404: no extension has this alias."""
    for extension in EXTENSIONS:
        if extension[0] == alias:
            return {"extension": _document(*extension)}
    raise errors.NotFound(f"No extension has the alias {alias}")
