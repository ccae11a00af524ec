# SPDX-License-Identifier: Apache-2.0
"""What every Glance answers and clients read without looking: no import methods, metadata definitions or tasks here."""

from __future__ import annotations

from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import EMPTY_LIST, STRING, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import ADMIN, READER, Rule


@route("GET", "/info/import", policy=Rule("get_import_info", READER),
       response=closed(**{"import-methods": closed(description=STRING, type=STRING, value=EMPTY_LIST)}))
def import_methods(_req: Request) -> Body:
    """List the methods of importing an image's data. 200 with an empty list: data is uploaded."""
    return {"import-methods": {"description": "Import methods available.", "type": "array", "value": []}}


@route("GET", "/metadefs/namespaces", policy=Rule("get_metadef_namespaces", READER),
       response=closed(namespaces=EMPTY_LIST, first=STRING, schema=STRING))
def namespaces(_req: Request) -> Body:
    """List namespaces of metadata definitions. 200 with an empty list: there are none."""
    return {"namespaces": [], "first": "/v2/metadefs/namespaces", "schema": "/v2/schemas/metadefs/namespaces"}


@route("GET", "/metadefs/resource_types", policy=Rule("list_metadef_resource_types", READER),
       response=closed(resource_types=EMPTY_LIST))
def resource_types(_req: Request) -> Body:
    """List the resource types that metadata definitions are for. 200 with an empty list: there are none."""
    return {"resource_types": []}


@route("GET", "/tasks", policy=Rule("tasks_api_access", ADMIN), response=closed(tasks=EMPTY_LIST, first=STRING, schema=STRING))
def tasks(_req: Request) -> Body:
    """List tasks. 200 with an empty list: there are none."""
    return {"tasks": [], "first": "/v2/tasks", "schema": "/v2/schemas/tasks"}
