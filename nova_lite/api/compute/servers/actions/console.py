# SPDX-License-Identifier: Apache-2.0
"""os-getConsoleOutput: what the guest wrote to its serial console, read from its host."""

from __future__ import annotations

from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.call_host import call_host
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import STRING, closed
from nova_lite.api.wsgi.routing import action
from nova_lite.api.wsgi.rules import MEMBER, Rule

# -1 and null: the whole log.
_LENGTH = {"anyOf": [{"type": "integer", "minimum": -1}, {"type": "null"},
                     {"type": "string", "pattern": "^(-1|[0-9]{1,9})$"}]}
_OUTPUT = schemas.keyed("os-getConsoleOutput", schemas.closed({"length": _LENGTH}))


@action("os-getConsoleOutput", policy=Rule("os_compute_api:os-console-output", MEMBER), status=200,
        body={"2.0": _OUTPUT}, response=closed(output=STRING), waits=True)
def output(req: Request, body: Body, server_id: str) -> Deferred[Body]:
    """Read the last `length` lines of the serial console's log.

    200 with them as one text. 404: no such server, or it was deleted meanwhile. 409: it is on no host, or leaves it.
    503: the host's nova-compute does not answer, or too many requests wait for workers.
    """
    server = begin_action.find(req, server_id)
    length = body["os-getConsoleOutput"].get("length")
    lines = None if length in (None, -1, "-1") else int(length)
    return Deferred(lambda: {"output": call_host(req, server, lambda worker: worker.console_output(
        req.ctxt, server_id=server_id, length=lines))})
