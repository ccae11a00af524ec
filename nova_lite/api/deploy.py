# SPDX-License-Identifier: Apache-2.0
"""Paste factories: what etc/api-paste.ini names, and how a process hands its configuration, database and RPC clients to them."""

from __future__ import annotations

import itertools
import os
import pkgutil
import re
import threading
from collections.abc import Callable, Iterable
from typing import Any

import paste.deploy
from oslo_config import cfg

import nova_lite
from nova_lite import conf as options
from nova_lite import errors
from nova_lite.api import services
from nova_lite.api import versions as versions_app
from nova_lite.api.wsgi.application import Application
from nova_lite.api.wsgi.filters import auth as auth_filter
from nova_lite.api.wsgi.filters.request_id import RequestId
from nova_lite.api.wsgi.filters.size_limit import SizeLimit
from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.request import Parts, RpcClients
from nova_lite.db import migrate
from nova_lite.notifications import emitter
from nova_lite.rpc import transport

App = Callable[..., Iterable[bytes]]
GlobalConf = dict[str, str]
Filter = Callable[[App], App]

_FACTORY = re.compile(r"^\s*paste\.\w+_factory\d*\s*=\s*(nova_lite\.[\w.]+:\w+)\s*$", re.MULTILINE)  # others may be anything

# Paste hands factories strings only, so parts are handed over by a key.
_KEY = "nova_lite.parts"
_parts: dict[str, Parts] = {}
_policies: dict[str, Policy] = {}
_numbers = itertools.count(1)
_lock = threading.Lock()


def load(parts: Parts, name: str = "api") -> Any:  # the type depends on the paste file
    """The application `name` of the configured paste file, built from these parts."""
    with _lock:
        key = str(next(_numbers))
        _parts[key] = parts
    return paste.deploy.loadapp(f"config:{paste_file(parts.conf)}", name=name, global_conf={_KEY: key})


def paste_file(conf: cfg.ConfigOpts) -> str:
    """The absolute path of `[DEFAULT] paste_config`: as given, beside nova.conf or in /etc/nova, or the one in the package.

    :raises FileNotFoundError: there is none.
    :raises errors.WrongPasteFile: it names a factory that does not exist, as the file of an earlier release does.
    """
    name = str(conf.paste_config)
    configured = name if os.path.isabs(name) else conf.find_file(name)
    packaged = os.path.join(os.path.dirname(nova_lite.__file__), "etc", name)
    for path in (configured, packaged):
        if path and os.path.exists(path):
            _require_factories(os.path.abspath(path), packaged)
            return os.path.abspath(path)
    raise FileNotFoundError(f"paste file {name} is not beside nova.conf; set [DEFAULT] paste_config")


def _require_factories(path: str, packaged: str) -> None:
    with open(path) as file:
        factories = _FACTORY.findall(file.read())
    for factory in factories:
        try:
            pkgutil.resolve_name(factory)
        except (ImportError, AttributeError) as error:
            raise errors.WrongPasteFile(path=path, factory=factory, packaged=packaged) from error


def _parts_of(global_conf: GlobalConf) -> Parts:
    """This process's parts; built from nova.conf when another WSGI server has loaded the paste file."""
    with _lock:
        key = global_conf.get(_KEY, "standalone")
        if key not in _parts:
            conf = options.load([])
            database = migrate.open_upgraded(conf)
            emitter.attach(conf, database, binary="nova-api")
            _parts[key] = Parts(conf, database, RpcClients(transport.connect(conf)))
        return _parts[key]


def _policy_of(global_conf: GlobalConf) -> Policy:
    parts = _parts_of(global_conf)
    with _lock:
        key = global_conf.get(_KEY, "standalone")
        if key not in _policies:
            _policies[key] = Policy(parts.conf, [rule for service in services.SERVICES.values() for rule in service.rules])
        return _policies[key]


def service(global_conf: GlobalConf, *, name: str, legacy: str = "false") -> App:
    """The application of one service. `name`: a key of api/services.py; `legacy = true`: compute as its /v2, without microversions."""
    return Application(services.SERVICES[name], _parts_of(global_conf), _policy_of(global_conf), is_legacy=legacy == "true")


def versions(global_conf: GlobalConf) -> App:
    """The documents of the unversioned roots."""
    return versions_app.Versions(_parts_of(global_conf).conf)


def request_id(global_conf: GlobalConf) -> Filter:  # Paste's shape
    """Request ids and the access log."""
    return RequestId


def size_limit(global_conf: GlobalConf, *, uploads: str = "") -> Filter:
    """Bodies above `[api] max_request_body_size` are refused, except PUTs to paths that end in `uploads`."""
    limit = int(_parts_of(global_conf).conf.api.max_request_body_size)
    return lambda app: SizeLimit(app, limit=limit, upload_suffix=uploads)


def auth(global_conf: GlobalConf) -> Filter:
    """Tokens become contexts, by `[api] auth_strategy`."""
    parts = _parts_of(global_conf)
    return lambda app: auth_filter.auth(app, conf=parts.conf, database=parts.database)
