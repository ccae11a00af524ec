# SPDX-License-Identifier: Apache-2.0
"""URLs that open a guest's screen or serial port: each with a token, which its host gets and the database stores as a hash only."""

from __future__ import annotations

import datetime
import secrets
import urllib.parse
from collections.abc import Callable
from typing import NoReturn

from oslo_config import cfg

from nova_lite import errors
from nova_lite.api.compute.common import schemas
from nova_lite.api.compute.servers import begin_action
from nova_lite.api.compute.servers.call_host import call_host
from nova_lite.api.wsgi.request import Body, Deferred, Request
from nova_lite.api.wsgi.responses import STRING, closed, each
from nova_lite.api.wsgi.routing import action, route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.db.base import utcnow
from nova_lite.db.compute import consoles, servers
from nova_lite.db.compute.servers import Server
from nova_lite.db.quotas import quota_locks, quotas
from nova_lite.rpc.compute import ConsoleType
from nova_lite.runtime import addresses

OPEN = Rule("os_compute_api:os-remote-consoles", MEMBER)
# Types by protocol, also those that this cloud does not have: refused by name, so that a user sees that it is no typo.
_PROTOCOLS = {
    "vnc": ("novnc", "xvpvnc"), "spice": ("spice-html5", "spice-direct"), "rdp": ("rdp-html5",), "serial": ("serial",),
    "mks": ("webmks",),
}


def _schema(*protocols: str, types: tuple[str, ...]) -> schemas.Schema:
    return schemas.keyed("remote_console", schemas.closed(
        {"protocol": {"enum": list(protocols)}, "type": {"enum": list(types)}}, required=("protocol", "type")))


_TYPES = ("novnc", "xvpvnc", "spice-html5", "rdp-html5", "serial")
CREATE = {
    "2.6": _schema("vnc", "spice", "rdp", "serial", types=_TYPES),
    "2.8": _schema("vnc", "spice", "rdp", "serial", "mks", types=(*_TYPES, "webmks")),
    "2.99": _schema("vnc", "spice", "rdp", "serial", "mks", types=(*_TYPES, "webmks", "spice-direct")),
}


_CONSOLE = closed(console=closed(type=STRING, url=STRING))


@route("POST", "/servers/{server_id}/remote-consoles", policy=OPEN, since="2.6", body=CREATE,
       response=closed(remote_console=closed(**each("protocol type url", STRING))), waits=True)
def create(req: Request, body: Body, server_id: str) -> Deferred[Body]:
    """Open a console of the guest.

    200 with its URL. 400: the protocol has no such type, or this cloud does not offer it. 404: no such server in the
    project. 403: the project has as many consoles that may be opened as it may have. 409: the guest is not running.
    503: its host does not respond.
    """
    protocol, kind = body["remote_console"]["protocol"], body["remote_console"]["type"]
    if kind not in _PROTOCOLS[protocol]:
        raise errors.BadRequest(reason=f"Invalid console type {kind}: protocol {protocol} has "
                                       f"{', '.join(_PROTOCOLS[protocol])}")
    url = _prepared(req, server_id, kind)
    return Deferred(lambda: {"remote_console": {"protocol": protocol, "type": kind, "url": url()}})


def _action_schema(name: str, *kinds: str) -> dict[str, schemas.Schema]:
    return {"2.0": schemas.keyed(name, schemas.closed({"type": {"enum": list(kinds)}}, required=("type",)))}


@action("os-getVNCConsole", policy=OPEN, status=200, until="2.5", body=_action_schema("os-getVNCConsole", "novnc", "xvpvnc"),
        response=_CONSOLE, waits=True)
def get_vnc_console(req: Request, body: Body, server_id: str) -> Deferred[Body]:
    """Open the guest's screen. 200 with its URL. 400, 403, 404, 409 and 503 as for `create`."""
    return _console(req, server_id, body["os-getVNCConsole"]["type"])


@action("os-getSPICEConsole", policy=OPEN, status=200, until="2.5",
        body=_action_schema("os-getSPICEConsole", "spice-html5"))
def get_spice_console(req: Request, body: Body, server_id: str) -> NoReturn:
    """Refuse. 404: no such server in the project. 400: the screens of guests use VNC in this cloud."""
    begin_action.find(req, server_id)
    raise _unavailable(req.conf, body["os-getSPICEConsole"]["type"])


@action("os-getRDPConsole", policy=OPEN, status=200, until="2.5", body=_action_schema("os-getRDPConsole", "rdp-html5"))
def get_rdp_console(req: Request, body: Body, server_id: str) -> NoReturn:
    """Refuse. 404: no such server in the project. 400: RDP consoles came with Hyper-V, which Nova has removed."""
    begin_action.find(req, server_id)
    raise _unavailable(req.conf, body["os-getRDPConsole"]["type"])


@action("os-getSerialConsole", policy=OPEN, status=200, until="2.5", body=_action_schema("os-getSerialConsole", "serial"),
        response=_CONSOLE, waits=True)
def get_serial_console(req: Request, body: Body, server_id: str) -> Deferred[Body]:
    """Open the guest's first serial port. 200 with its URL. 400, 403, 404, 409 and 503 as for `create`."""
    return _console(req, server_id, body["os-getSerialConsole"]["type"])


def _console(req: Request, server_id: str, kind: str) -> Deferred[Body]:
    url = _prepared(req, server_id, kind)
    return Deferred(lambda: {"console": {"type": kind, "url": url()}})


def _prepared(req: Request, server_id: str, kind: str) -> Callable[[], str]:
    """Store a token for the console of the server; what has the server's host accept it after the commit, and makes the URL.

    The token is counted before anything is requested of the host, and under the project's quota lock.

    :raises errors.Forbidden: the project has too many.
    """
    server, console = begin_action.find(req, server_id), _available(req.conf, kind)
    token, now, limit = secrets.token_urlsafe(32), utcnow(), req.conf.consoleauth.max_tokens_per_project
    quota_locks.take(req.db, server.project_id)
    consoles.add(req.db, consoles.ConsoleToken(
        token_hash=consoles.digest(token), server_id=server.id, type=console.value, host="", port=0,
        expires_at=now + datetime.timedelta(seconds=req.conf.consoleauth.token_ttl)), now=now)
    if quotas.consoles_used(req.db, server.project_id, now=now) > limit:
        raise errors.Forbidden(reason=f"Quota exceeded for consoles: {limit} URLs of consoles of this project are valid. Each is "
                                      f"for {req.conf.consoleauth.token_ttl} seconds.")
    return lambda: _url(req, server, console, token)


def _url(req: Request, server: Server, console: ConsoleType, token: str) -> str:
    """Have the guest's host accept the token, and make the URL; the token goes if the host refuses."""
    token_hash = consoles.digest(token)
    try:
        address = call_host(req, server, lambda worker: worker.open_console(
            req.ctxt, server_id=server.id, type=console, token_hash=token_hash, ttl_s=req.conf.consoleauth.token_ttl))
    except errors.NovaLiteError:
        with req.database.writer() as session:
            consoles.revoke(session, token_hash)
        raise
    with req.database.writer() as session:
        # It may have been deleted meanwhile, and its tokens with it.
        session.refresh(servers.get(session, server.id), with_for_update=True)
        consoles.accept(session, token_hash, host=address.host, port=address.port)
    return _with_token(_base_url(req.conf, console), console, token)


def _available(conf: cfg.ConfigOpts, kind: str) -> ConsoleType:
    """:raises errors.BadRequest: this cloud does not offer this type."""
    if kind not in _offered(conf):
        raise _unavailable(conf, kind)
    return ConsoleType(kind)


def _offered(conf: cfg.ConfigOpts) -> list[str]:
    enabled = {"novnc": conf.vnc.enabled, "serial": conf.serial_console.enabled}
    return [name for name, is_enabled in enabled.items() if is_enabled]


def _unavailable(conf: cfg.ConfigOpts, kind: str) -> errors.BadRequest:
    return errors.BadRequest(
        reason=f"Unavailable console type {kind}. This cloud offers: {', '.join(_offered(conf)) or 'none'}")


def _base_url(conf: cfg.ConfigOpts, console: ConsoleType) -> str:
    """The operator's option, or the address at which the proxy listens."""
    if console is ConsoleType.NOVNC:
        base_url, host, port = conf.vnc.novncproxy_base_url, conf.vnc.novncproxy_host, conf.vnc.novncproxy_port
        return str(base_url) or f"http://{addresses.url_host(conf, host)}:{port}/vnc_lite.html"
    base_url, host, port = conf.serial_console.base_url, conf.serial_console.serialproxy_host, conf.serial_console.serialproxy_port
    return str(base_url) or f"ws://{addresses.url_host(conf, host)}:{port}/"


def _with_token(url: str, console: ConsoleType, token: str) -> str:
    """The URL with the token: noVNC connects to the `path` of its page's query; other clients to the URL itself."""
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qsl(parts.query)
    query.append(("path", f"?token={token}") if console is ConsoleType.NOVNC else ("token", token))
    return urllib.parse.urlunsplit(parts._replace(query=urllib.parse.urlencode(query)))
