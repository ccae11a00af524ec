# SPDX-License-Identifier: Apache-2.0
"""The filters in front of every application that turn X-Auth-Token into a Context: built-in tokens, or Keystone's.

Without a token the request passes without a context, and the application refuses all but public routes.
A token that is not valid is refused with 401 at once.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import json
import threading
import time
from collections.abc import Callable, Iterable
from typing import Any

import sqlalchemy.exc
import webob
from oslo_config import cfg
from oslo_context import context as oslo_context
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import MEMBER, READER, Context, expand_roles, limit_roles, new_request_id
from nova_lite.db.engine import Database
from nova_lite.db.failures import describe, reason_of
from nova_lite.db.identity import token_owners, users
from nova_lite.runtime import tokens
from nova_lite.values.image_grant import Access, ImageGrant

LOG = logging.getLogger(__name__)

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]

_MAX_CACHED = 10_000
_UNAUTHORIZED = "The request you have made requires authentication."


@dataclasses.dataclass(frozen=True)
class _Identity:
    """A Context without the ids of a request."""

    user_id: str
    project_id: str
    roles: frozenset[str]
    user_name: str = ""
    project_name: str = ""
    domain_id: str = users.DEFAULT_DOMAIN
    grant: ImageGrant | None = None


class LocalAuth:
    """Checks built-in tokens against the database; an identity is cached for up to `cache_time_s` seconds.

    Nothing that a client states about itself beside its token is read.
    """

    def __init__(
        self,
        app: App,
        database: Database,
        issuer: tokens.Tokens,
        *,
        identity_url: str = "",
        cache_time_s: float = 5.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._app = app
        self._database = database
        self._tokens = issuer
        self._identity_url = identity_url
        self._cache_time_s = cache_time_s
        self._clock = clock
        self._lock = threading.Lock()
        self._cache: dict[str, tuple[float, _Identity]] = {}  # by token: (valid until, identity)

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop("nova.context", None)
        environ.pop("nova.image_grant", None)
        text = environ.get("HTTP_X_AUTH_TOKEN")
        if text:
            try:
                identity = self._identify(text)
            except errors.InvalidToken:
                return refuse(environ, start_response, identity_url=self._identity_url)
            except (sqlalchemy.exc.OperationalError, sqlalchemy.exc.TimeoutError) as error:
                LOG.warning("the database failed while a token was checked: %s", describe(error))
                return answer_error(start_response, "503 Service Unavailable", 503, reason_of(error), ("Retry-After", "2"))
            except errors.Unavailable as error:
                return answer_error(start_response, "503 Service Unavailable", 503, error.text)
            if not _is_granted(environ, identity.grant):
                return refuse(environ, start_response, identity_url=self._identity_url)
            set_context(environ, identity)
        return self._app(environ, start_response)

    def _identify(self, text: str) -> _Identity:
        now = self._clock()
        cached = self._cache.get(text)
        # `now` before the entry was made: the clock was set back, so the token is checked again.
        if cached is not None and cached[0] - self._cache_time_s <= now < cached[0]:
            return cached[1]
        token = self._tokens.read(text)
        identity = self._look_up(token)
        self._add_to_cache(text, min(now + self._cache_time_s, token.expires_at), identity)
        return identity

    def _look_up(self, token: tokens.Token) -> _Identity:
        if token.grant is not None:
            return _of_host(token, token.grant)
        issued_at = datetime.datetime.fromtimestamp(token.issued_at, datetime.UTC).replace(tzinfo=None)
        with self._database.reader() as session:
            holder = token_owners.token_owner(
                session,
                user_id=token.user_id,
                project_id=token.project_id,
                audit_id=token.audit_ids[0],
                issued_at=issued_at,
                password_mark=token.password_mark,
                credential_id=token.credential_id,
            )
        return _Identity(
            holder.user.id,
            token.project_id,
            limit_roles(holder.roles, holder.limited_to),
            user_name=holder.user.name,
            project_name=holder.project.name if holder.project else "",
            domain_id=holder.domain.id,
        )

    def _add_to_cache(self, text: str, until: float, identity: _Identity) -> None:
        with self._lock:
            if len(self._cache) >= _MAX_CACHED:
                now = self._clock()
                self._cache = {key: value for key, value in self._cache.items() if value[0] > now}
            if len(self._cache) < _MAX_CACHED:
                self._cache[text] = (until, identity)


class KeystoneHeaders:
    """Makes a Context of the headers that keystonemiddleware's auth_token puts into the environment.

    Safe only behind it: it removes these headers from what clients send.
    """

    def __init__(self, app: App, *, identity_url: str) -> None:
        self._app = app
        self._identity_url = identity_url

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop("nova.context", None)
        environ.pop("nova.image_grant", None)
        if environ.get("HTTP_X_AUTH_TOKEN"):
            if environ.get("HTTP_X_IDENTITY_STATUS") != "Confirmed":
                return refuse(environ, start_response, identity_url=self._identity_url)
            header = functools.partial(_header, environ)
            roles = {name.strip() for name in header("ROLES").split(",") if name.strip()}
            set_context(
                environ,
                _Identity(
                    header("USER_ID"),
                    header("PROJECT_ID"),
                    expand_roles(roles),
                    user_name=header("USER_NAME"),
                    project_name=header("PROJECT_NAME"),
                    domain_id=header("USER_DOMAIN_ID"),
                ),
            )
        return self._app(environ, start_response)


def _header(environ: Environ, name: str) -> str:
    """A header that auth_token has set; "" for what the token lacks.

    auth_token sets None there, and for a Context that would mean "of all projects".
    """
    return environ.get(f"HTTP_X_{name}") or ""


class OwnServices:
    """In front of Keystone: the tokens that the conductor issues to workers are built-in ones, which no Keystone knows."""

    def __init__(self, app: App, others: App, issuer: tokens.Tokens, *, identity_url: str = "") -> None:
        self._app, self._others, self._tokens, self._identity_url = app, others, issuer, identity_url

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        environ.pop("nova.context", None)
        environ.pop("nova.image_grant", None)
        try:
            token = self._tokens.read(environ.get("HTTP_X_AUTH_TOKEN", ""))
        except (errors.InvalidToken, errors.Unavailable):
            return self._others(environ, start_response)
        if token.grant is None:
            return self._others(environ, start_response)
        if not _is_granted(environ, token.grant):
            return refuse(environ, start_response, identity_url=self._identity_url)
        set_context(environ, _of_host(token, token.grant))
        return self._app(environ, start_response)


def _is_granted(environ: Environ, grant: ImageGrant | None) -> bool:
    """Whether the token is a user's, or good for this very request."""
    return grant is None or grant.allows(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))


def _of_host(token: tokens.Token, grant: ImageGrant) -> _Identity:
    """The roles that the granted request needs by default; there is no other request that they could be used for."""
    role = READER if grant.access is Access.READ else MEMBER
    return _Identity(token.user_id, token.project_id, expand_roles({role}), user_name=f"nova-compute of {grant.host}", grant=grant)


def local_auth(app: App, *, conf: cfg.ConfigOpts, database: Database) -> App:
    """The built-in identity's filter in front of `app`."""
    return LocalAuth(
        app,
        database,
        tokens.open_tokens(conf),
        identity_url=login_url(conf),
        cache_time_s=conf.identity.token_cache_time,
    )


def keystone_auth(app: App, *, conf: cfg.ConfigOpts) -> App:
    """keystonemiddleware's filter and ours in front of `app`.

    [keystone] names the Keystone; further options of [keystone_authtoken] hold too.
    """
    from keystonemiddleware import auth_token  # noqa: PLC0415 - a tenth of the imports at start, which only clouds with a Keystone need

    keystone = conf.keystone
    options = {
        "oslo_config_config": conf,
        "www_authenticate_uri": keystone.auth_url,
        "auth_type": "password",
        "auth_url": keystone.auth_url,
        "username": keystone.username,
        "password": keystone.password,
        "project_name": keystone.project_name,
        "user_domain_name": keystone.user_domain_name,
        "project_domain_name": keystone.project_domain_name,
        "interface": keystone.interface,
        "token_cache_time": str(keystone.token_cache_time),
    }
    if keystone.cafile:
        options["cafile"] = keystone.cafile
    inner = KeystoneHeaders(app, identity_url=keystone.auth_url)
    protocol = auth_token.AuthProtocol(inner, options)

    def only_with_token(environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        # Requests without a token are for the application to decide: version documents are public. `delay_auth_decision`
        # would do so too, but would also answer 401 instead of 503 while Keystone cannot be reached.
        environ.pop("nova.context", None)
        environ.pop("nova.image_grant", None)
        target = protocol if environ.get("HTTP_X_AUTH_TOKEN") else app
        return target(environ, start_response)

    return only_with_token


def auth(app: App, *, conf: cfg.ConfigOpts, database: Database) -> App:
    """The filter that `[api] auth_strategy` names in front of `app`."""
    if conf.api.auth_strategy == "keystone":
        return OwnServices(
            app, keystone_auth(app, conf=conf), tokens.open_tokens(conf), identity_url=conf.keystone.auth_url)
    return local_auth(app, conf=conf, database=database)


def set_context(environ: Environ, identity: _Identity) -> None:
    """Put the request's Context where applications look for it; its log lines name the user and project."""
    environ["nova.image_grant"] = identity.grant
    environ["nova.context"] = Context(
        user_id=identity.user_id,
        project_id=identity.project_id,
        roles=identity.roles,
        request_id=environ.get("nova.request_id") or new_request_id(),
        global_request_id=environ.get("nova.global_request_id", ""),
        user_name=identity.user_name,
        project_name=identity.project_name,
        domain_id=identity.domain_id,
    )
    log_context = oslo_context.get_current()
    if log_context is not None:
        log_context.user_id, log_context.project_id = identity.user_id, identity.project_id


def refuse(environ: Environ, start_response: StartResponse, *, identity_url: str) -> Iterable[bytes]:
    """401, with the URL to log in at."""
    header = ("WWW-Authenticate", challenge(environ, identity_url))
    return answer_error(start_response, "401 Unauthorized", 401, _UNAUTHORIZED, header)


def challenge(environ: Environ, identity_url: str) -> str:
    """The WWW-Authenticate of a 401; `identity_url` "": the one at the host of the request."""
    url = identity_url or f"{webob.Request(environ).host_url}/identity/v3"
    return f'Keystone uri="{url}"'


def answer_error(
    start_response: StartResponse, status_line: str, status: int, text: str, *headers: tuple[str, str]
) -> Iterable[bytes]:
    """An error in the form of keystonemiddleware, which all clients know."""
    title = status_line.partition(" ")[2]
    body = json.dumps({"error": {"code": status, "title": title, "message": text}}).encode()
    start_response(status_line, [("Content-Type", "application/json"), ("Content-Length", str(len(body))), *headers])
    return [body]


def login_url(conf: cfg.ConfigOpts) -> str:
    """The URL to log in at; "" when it follows from the request's host."""
    if conf.api.auth_strategy == "keystone":
        return str(conf.keystone.auth_url)
    public = str(conf.api.public_url).rstrip("/")
    return f"{public}/identity/v3" if public else ""
