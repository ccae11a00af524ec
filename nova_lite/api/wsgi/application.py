# SPDX-License-Identifier: Apache-2.0
"""One WSGI application per API service: finds the route, checks policy and schemas, calls the handler, sends its response."""

from __future__ import annotations

import functools
import json
import re
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy.exc
import webob
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.api.wsgi import openapi
from nova_lite.api.wsgi import policy as policies
from nova_lite.api.wsgi.deferred_casts import DeferredCasts
from nova_lite.api.wsgi.filters.auth import challenge, login_url
from nova_lite.api.wsgi.request import Body, Deferred, Parts, Reply, Request, TurnTaken
from nova_lite.api.wsgi.routing import Route, single_slashes
from nova_lite.api.wsgi.rules import ADMIN, ANYONE, PUBLIC
from nova_lite.api.wsgi.service import UNVERSIONED, ApiService
from nova_lite.api.wsgi.validation import Validator, check_address, drop_unknown, read_json
from nova_lite.api.wsgi.versions import Version
from nova_lite.context import Context
from nova_lite.db.failures import describe, reason_of
from nova_lite.runtime.http.body import BadBody
from nova_lite.runtime.http.wire import TooSlow

LOG = logging.getLogger(__name__)
DOCUMENT = "/openapi.json"
_MAX_DOCUMENTS = 16  # 270 KB each
_URL = "http://url.of.the.request.invalid"
_ENCODE = json.JSONEncoder(separators=(",", ":")).encode
# The path as it was sent, from our server and eventlet's, gunicorn and uWSGI; the last two with the query.
_RAW = ("RAW_PATH_INFO", "RAW_URI", "REQUEST_URI")
_PROJECT = re.compile(r"^/[0-9a-f][0-9a-f-]{31,35}(?=/|$)")


class Application:
    """The WSGI application of one API service."""

    def __init__(self, service: ApiService, parts: Parts, policy: policies.Policy, *, is_legacy: bool = False) -> None:
        self._service = service
        self._parts = parts
        self._waiting = parts.waiting
        self._casts = DeferredCasts(limit_s=parts.rpc.publish_limit_s)
        self._policy = policy
        self._is_legacy = is_legacy
        self._validator = Validator()
        self._mapper, self._by_path = service.mapper, service.routes_by_path
        self._documents: dict[Version, str] = {}

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        http = webob.Request(environ)
        version, response = self._service.negotiation.minimum if self._service.negotiation else UNVERSIONED, None
        try:
            version = self._negotiate(http)
            response = self._respond(http, version)
        except errors.NovaLiteError as error:
            response = self._refusal(environ, error)
        except sqlalchemy.exc.DataError as error:
            LOG.warning("%s %s: the database refused a value: %s", http.method, http.path, error.orig)
            response = self._fault(400, "A value of the request is out of the range that the database can store.")
        except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError) as error:
            LOG.warning("%s %s: the database failed: %s", http.method, http.path, describe(error))
            response = self._fault(503, reason_of(error))
            response.headers["Retry-After"] = "2"
        except BadBody as error:
            response = self._fault(400, f"The body of the request is not valid: {error}.")
        except TooSlow:
            response = self._fault(408, "The body of the request came too slowly.")
        except Exception:
            LOG.exception("%s %s failed", http.method, http.path)
            request_id = environ.get("nova.request_id", "-")
            response = self._fault(500, f"Unexpected API error; report the request id {request_id} to the operator.")
        if self._service.negotiation and not self._is_legacy:
            _set_headers(response, self._service.negotiation.headers(version))
        return response(environ, start_response)

    def _negotiate(self, http: webob.Request) -> Version:
        if self._service.negotiation is None:
            return UNVERSIONED
        if self._is_legacy:
            return self._service.negotiation.minimum
        return self._service.negotiation.choose(http.headers)

    def _respond(self, http: webob.Request, version: Version) -> webob.Response:
        check_address(http)
        base_url = self._base_url(http)
        path = http.path_info.rstrip("/") or "/"
        if path == "/" and self._service.version_document:
            return _json_response(200, self._service.version_document(base_url))
        if path == DOCUMENT and http.method == "GET":
            return self._document(self._document_version(http, version), base_url)
        match = self._match(escaped_path(http))
        candidates = self._by_path[match.pop("route_path")]
        variables = {name: value.replace("%2F", "/").replace("%25", "%") for name, value in match.items() if name not in ("controller", "action")}
        return self._dispatch(http, version, base_url, candidates, variables)

    def _match(self, path: str) -> dict[str, str]:
        """The path of the route, as `route_path`, and its variables, escaped as in `path`.

        :raises errors.NotFound: there is none, or the path ends with a slash that is no part of a name.
        """
        if self._service.has_project_path:
            path = _PROJECT.sub("", path, count=1) or "/"
        match: dict[str, str] | None = self._mapper.match(path)
        if match is None and path.endswith("/"):
            match = self._mapper.match(path.rstrip("/") or "/")
            if match is not None and not self._service.takes_trailing_slash:
                raise errors.NotFound("The resource could not be found: the path ends where an id is expected.")
        if match is None:
            raise errors.NotFound("The resource could not be found.")
        return match

    def _document(self, version: Version, base_url: str) -> webob.Response:
        """The OpenAPI document; making one takes 50 ms, and everybody may have it."""
        text = self._documents.get(version)
        if text is None:
            text = _ENCODE(openapi.document(self._service, version, _URL))
            if len(self._documents) >= _MAX_DOCUMENTS:
                self._documents.clear()
            self._documents[version] = text
        text = text.replace(_ENCODE(_URL), _ENCODE(base_url), 1)
        return webob.Response(status=200, body=text.encode(), content_type="application/json")

    def _document_version(self, http: webob.Request, version: Version) -> Version:
        """The version that the headers name; else the newest, whose document has most."""
        negotiation = self._service.negotiation
        if negotiation is None or self._is_legacy or negotiation.is_requested(http.headers):
            return version
        return negotiation.maximum

    def _dispatch(
        self, http: webob.Request, version: Version, base_url: str, candidates: list[Route], variables: dict[str, str]
    ) -> webob.Response:
        chosen = self._choose(http, version, candidates)
        ctxt: Context | None = http.environ.get("nova.context")
        if ctxt is None and chosen[0].policy is not PUBLIC:
            raise errors.Unauthorized()
        body = self._body(http, chosen)
        route = _by_action(chosen, body)
        if ctxt is not None and route.policy is not PUBLIC:
            ctxt = self._policy.with_admin_override(ctxt)
            if not ctxt.project_id:
                self._refuse_without_project(route)
            self._policy.check(route.policy, ctxt, self._target(route, ctxt, variables))
        self._validate(http, route, version, body)
        arguments = variables if body is None else {**variables, "body": body}
        reply = self._run(http, version, base_url, route, ctxt or Context(), arguments)
        if not route.is_read:
            self._parts.database.sync()  # what is answered survives a power cut
        return _response(route, reply)

    def _refuse_without_project(self, route: Route) -> None:
        """A token for a domain, the system or nothing has the rights of no project; in identity it may find one.

        Nova, Neutron and Glance refuse it too (`enforce_scope`); what has no owner may be read, or managed by admins.

        :raises errors.PolicyForbids: the route is about resources of a project.
        """
        is_unowned = route.policy.role == ADMIN or (route.policy.role == ANYONE and route.method in ("GET", "HEAD"))
        if self._service.name != "identity" and not is_unowned:
            raise errors.PolicyForbids(rule=route.policy.name)

    def _target(self, route: Route, ctxt: Context, variables: dict[str, str]) -> policies.Target | None:
        """The owner of the resource, read only for a rule that depends on it: by default none does."""
        if self._service.owner is None or not self._policy.depends_on_owner(route.policy):
            return None
        with self._parts.database.reader() as session:
            return self._service.owner(session, ctxt, variables)

    def _choose(self, http: webob.Request, version: Version, candidates: list[Route]) -> list[Route]:
        method = "GET" if http.method == "HEAD" and all(r.method != "HEAD" for r in candidates) else http.method
        of_method = [route for route in candidates if route.method == method]
        if not of_method:
            if http.path_info.endswith("/"):
                raise errors.NotFound("The resource could not be found: the path ends where an id is expected.")
            allowed = {route.method for route in candidates}
            raise _MethodNotAllowed(sorted(allowed | {"HEAD"} if "GET" in allowed else allowed))
        chosen = [route for route in of_method if route.versions.holds(version)]
        if not chosen:
            raise errors.NotFound("The resource could not be found.")
        return chosen

    def _body(self, http: webob.Request, chosen: list[Route]) -> Body | None:
        if chosen[0].raw_body or not any(route.schemas or route.action for route in chosen):
            return None
        return read_json(http)

    def _validate(self, http: webob.Request, route: Route, version: Version, body: Body | None) -> None:
        schema = route.schema_for(version)
        if body is not None and schema is not None:
            if self._is_legacy:
                drop_unknown(schema, body)
            self._validator.body(schema, body)
        query = route.query_for(version)
        if query is not None:
            self._validator.query(query, http.GET)

    def _run(
        self, http: webob.Request, version: Version, base_url: str, route: Route, ctxt: Context, arguments: dict[str, Any]
    ) -> Body | Reply | None:
        attempt = functools.partial(
            self._transaction, http, version, base_url, route, ctxt, arguments, began=time.monotonic())
        if not route.waits:
            return _finished(attempt())
        with self._waiting.slot():
            # From here on other requests may have its place: it only waits.
            http.environ.get("nova.leave_share", _nothing)()
            while True:
                try:
                    return _finished(attempt())
                except TurnTaken as taken:
                    taken.wait()

    def _transaction(  # all that a request is made of
        self, http: webob.Request, version: Version, base_url: str, route: Route, ctxt: Context, arguments: dict[str, Any],
        *, began: float,
    ) -> Body | Reply | Deferred[Any] | None:
        """Run the handler in one transaction, then send its casts."""
        database = self._parts.database
        # A raw body may take minutes to arrive: its handler opens its own short transactions.
        is_read = route.is_read or route.raw_body
        with database.reader() if is_read else database.writer() as session:
            req = Request(http, ctxt, version, session, self._parts, base_url, self._policy)
            req.began = began
            reply = route.handler(req, **arguments)
            if not is_read and http.environ.get("nova.is_client_gone", _nothing)():
                raise _ClientGone()  # before the commit: nobody would know what was made
        for cast in req.after.values():
            self._casts.send(cast, request_id=ctxt.request_id)
        return reply

    def _base_url(self, http: webob.Request) -> str:
        public = self._parts.conf.api.public_url.rstrip("/") or http.host_url
        return f"{public}{http.script_name}"

    def _refusal(self, environ: dict[str, Any], error: errors.NovaLiteError) -> webob.Response:
        response = self._fault(error.http_status, error.text)
        if error.http_status == 503:
            response.headers["Retry-After"] = "2"
        if isinstance(error, errors.OverVolumeQuota):
            response.headers["Retry-After"] = "0"  # as Cinder's: clients are not to wait, since no time makes room
        if error.http_status == 401:
            response.headers["WWW-Authenticate"] = challenge(environ, login_url(self._parts.conf))
        if isinstance(error, _MethodNotAllowed):
            response.allow = error.allowed
        return response

    def _fault(self, status: int, text: str) -> webob.Response:
        return _json_response(status, self._service.fault_body(status, text))


def escaped_path(http: webob.Request) -> str:
    """The path below the service's root, decoded but for the slashes and percent signs of names: `%2F` and `%25`.

    PATH_INFO is decoded wholly, and paste's urlmap makes one slash of two: a DELETE of `…/tags/%2F` would be one of all tags.

    :raises errors.NotFound: the service's root has an escaped slash, so that one name of the path may be several.
    """
    raw = next((str(http.environ[name]) for name in _RAW if name in http.environ), "").partition("?")[0]
    if "%" not in raw:
        return str(http.path_info.replace("%", "%25"))
    root, names = http.script_name, single_slashes(raw).split("/")
    passed = names.pop(0)
    while names and len(passed) < len(root):
        passed += "/" + urllib.parse.unquote(names.pop(0))
    if passed != root:
        if not single_slashes(urllib.parse.unquote(raw)).startswith(f"{root}/"):  # a proxy has changed the path, or it is a whole URL
            return str(http.path_info.replace("%", "%25"))
        raise errors.NotFound("The resource could not be found: the path of the service has an escaped slash.")
    return "".join("/" + urllib.parse.unquote(name).replace("%", "%25").replace("/", "%2F") for name in names)


def _nothing() -> None:
    """Under other servers than ours."""


def _finished(reply: Body | Reply | Deferred[Any] | None) -> Body | Reply | None:
    return reply.make() if isinstance(reply, Deferred) else reply


class _MethodNotAllowed(errors.NovaLiteError):
    http_status = 405
    message = "The method specified is not allowed for this resource; allowed: {allowed}"

    def __init__(self, allowed: list[str]) -> None:
        super().__init__(allowed=", ".join(allowed))
        self.allowed = allowed


class _ClientGone(errors.NovaLiteError):
    http_status = 499  # nginx's; only the log sees it
    message = "The client has closed the connection"


def _by_action(chosen: list[Route], body: Body | None) -> Route:
    """The route that the body's one key names, or the only route of the path."""
    if chosen[0].action is None:
        return chosen[0]
    for route in chosen:
        if body is not None and route.action in body:
            return route
    names = ", ".join(sorted(body or {})) or "none"
    raise errors.BadRequest(reason=f"There is no such action: {names}")


def _response(route: Route, reply: Body | Reply | None) -> webob.Response:
    if not isinstance(reply, Reply):
        reply = Reply(body=reply)
    status = reply.status or route.status
    if reply.stream is not None:
        response = webob.Response(status=status, app_iter=reply.stream, content_type=reply.content_type)
    elif reply.body is None:
        response = webob.Response(status=status, content_type="application/json")
        response.content_length = 0 if status != 204 else None
        if status == 204:
            response.headers.pop("Content-Type", None)  # webob leaves it out of some 204s itself
    else:
        response = _json_response(status, reply.body)
    _set_headers(response, reply.headers)
    return response


def _set_headers(response: webob.Response, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        response.headers[name] = value


def _json_response(status: int, body: Body) -> webob.Response:
    return webob.Response(
        status=status, body=_ENCODE(body).encode(), content_type="application/json"
    )
