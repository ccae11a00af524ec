# SPDX-License-Identifier: Apache-2.0
"""What a handler takes and returns: the request with its session and clients, and the reply."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Hashable, Mapping
from typing import Any, Generic, TypeVar

import oslo_messaging as messaging
import webob
from oslo_config import cfg
from sqlalchemy.orm import Session

from nova_lite.api.wsgi.policy import Policy
from nova_lite.api.wsgi.versions import Version
from nova_lite.api.wsgi.waiting import WaitingRequests
from nova_lite.context import Context
from nova_lite.db.engine import Database
from nova_lite.rpc.api import ApiRpc
from nova_lite.rpc.compute import ComputeRpc
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.interface import serve
from nova_lite.rpc.network import NetworkRpc

# The first attempt notices that a connection is a stale one of a broker that was restarted.
_RETRIES = 1
_PUBLISHED_S = 1.0
R = TypeVar("R")
Body = dict[str, Any]  # a JSON object; its shape is the route's schema


@dataclasses.dataclass(frozen=True)
class Reply:
    """A response that is more than a body with the route's own status."""

    body: Body | None = None
    status: int | None = None
    headers: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stream: Any = None  # an iterable of bytes, sent as it is read; needs Content-Type in headers
    content_type: str = "application/json"


@dataclasses.dataclass(frozen=True)
class Deferred(Generic[R]):
    """A reply that `make` gives after the commit, when casts are sent and no connection is held; of waiting routes only."""

    make: Callable[[], R]


class TurnTaken(Exception):  # not an error: the request has to wait
    """Raised by the handler of a waiting route: roll back, call `wait`, and run the handler again."""

    def __init__(self, wait: Callable[[], object]) -> None:
        super().__init__()
        self.wait = wait


class RpcClients:
    """The RPC clients of the API services; created once per process."""

    def __init__(self, transport: messaging.transport.RPCTransport) -> None:
        self._transport = transport
        # A broker that blocks publishers, as RabbitMQ does when its memory or disk is short, says nothing for 20 s and more.
        self.publish_limit_s = None if transport.conf.transport_url.startswith("inprocess:") else _PUBLISHED_S
        self.conductor = ConductorRpc.client(transport, retries=_RETRIES)
        self._computes: dict[str, ComputeRpc] = {}
        self._networks: dict[str, NetworkRpc] = {}

    def compute(self, agent: str) -> ComputeRpc:
        """The compute worker that listens as `agent`."""
        if agent not in self._computes:
            self._computes[agent] = ComputeRpc.client(self._transport, host=agent, retries=_RETRIES)
        return self._computes[agent]

    def network(self, agent: str) -> NetworkRpc:
        """The network worker that listens as `agent`."""
        if agent not in self._networks:
            self._networks[agent] = NetworkRpc.client(self._transport, host=agent, retries=_RETRIES)
        return self._networks[agent]

    def serve_api(self, endpoint: object, *, host: str) -> messaging.RPCServer:
        """Begin to hand casts of ApiRpc to the endpoint; returns once the bus is there."""
        server = serve(ApiRpc, self._transport, host, [endpoint])
        server.start()
        return server


@dataclasses.dataclass(frozen=True)
class Parts:
    """What every application is built from, once per process."""

    conf: cfg.ConfigOpts
    database: Database
    rpc: RpcClients

    @functools.cached_property
    def waiting(self) -> WaitingRequests:
        """Requests of this process that wait for workers: three of four threads at most."""
        return WaitingRequests(
            self.database, functools.partial(self.rpc.serve_api, host=self.conf.host), limit=max(1, self.conf.api.threads * 3 // 4))


class Request:
    """One request to one handler. `db` is a reader's session for what only reads, else one transaction.

    What must happen only once the transaction is committed (casts above all) goes to `after_commit`.
    """

    def __init__(
        self, http: webob.Request, ctxt: Context, version: Version, db: Session, parts: Parts, base_url: str,
        policy: Policy,
    ) -> None:
        self.http = http
        self.ctxt = ctxt
        self.version = version
        self.db = db
        self.conf = parts.conf
        self.rpc = parts.rpc
        self.database = parts.database
        self.base_url = base_url
        self.policy = policy
        self.waiting = parts.waiting
        self.began = time.monotonic()  # kept when the handler of a waiting route runs again
        self.after: dict[Hashable, Callable[[], None]] = {}

    @property
    def query(self) -> Any:
        """The query parameters, a webob MultiDict: `get`, `getall`."""
        return self.http.GET

    def after_commit(self, call: Callable[..., None], *args: Hashable, **kwargs: Hashable) -> None:
        """Call this once the transaction is committed, and once however often it is requested.

        Its failure is logged, and a reconciler sends it again.
        """
        self.after.setdefault((call, args, frozenset(kwargs.items())), lambda: call(*args, **kwargs))
