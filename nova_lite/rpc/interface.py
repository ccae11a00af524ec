# SPDX-License-Identifier: Apache-2.0
"""RPC contracts declared once, as classes of signatures: a typed sender and a checked server come from them."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar

import oslo_messaging as messaging
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc import payload

LOG = logging.getLogger(__name__)
# What a server raises that does not know the method, or its version.
_UNKNOWN = frozenset({"UnsupportedVersion", "NoSuchMethod"})
_F = TypeVar("_F", bound=Callable[..., Any])


@dataclasses.dataclass(frozen=True)
class _Contract:
    """How one method travels. `monitor_s`: a dead worker is noticed within it, however long the call.

    `fanout`: to every server of the topic, not to one of them.
    """

    is_call: bool
    since: str
    timeout_s: float | None = None
    monitor_s: float | None = None
    fanout: bool = False


def cast(*, since: str, fanout: bool = False) -> Callable[[_F], _F]:
    """Mark a method as sent without waiting; it may arrive never, once or more than once. `fanout`: see _Contract."""
    return _mark(_Contract(is_call=False, since=since, fanout=fanout))


def call(*, since: str, timeout_s: float, monitor_s: float | None = None) -> Callable[[_F], _F]:
    """Mark a method as waited for, up to `timeout_s` seconds.

    It raises `errors.ServiceDown` when nobody answers, and `errors.TooOld` when the other side does not know it.
    """
    return _mark(_Contract(is_call=True, since=since, timeout_s=timeout_s, monitor_s=monitor_s))


def _mark(contract: _Contract) -> Callable[[_F], _F]:
    def mark(method: _F) -> _F:
        method.rpc_contract = contract  # type: ignore[attr-defined]
        return method

    return mark


class Interface:
    """Base of a contract; a subclass states `topic`, `version` and its methods' signatures."""

    topic: typing.ClassVar[str]
    version: typing.ClassVar[str]

    @classmethod
    def client(
        cls, transport: messaging.transport.RPCTransport, *, host: str | None = None, cap: str | None = None,
        retries: int | None = None,
    ) -> Self:
        """A sender typed as this interface; `host` None: any one server of the topic.

        `retries`: after so many a cast raises messaging.MessageDeliveryFailure when the broker is away, and a call
        `errors.ServiceDown`; None: both wait until it is back.
        `cap`: the newest version that the other side knows; a newer method raises `errors.TooOld`.
        """
        return typing.cast(Self, _Sender(cls, transport, host, cap, retries))

    @classmethod
    def methods(cls) -> dict[str, Callable[..., Any]]:
        """The contract's methods by name."""
        return {
            name: method for name, method in inspect.getmembers(cls, inspect.isfunction)
            if hasattr(method, "rpc_contract")
        }


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("."))


class _Sender:
    """Sends an interface's methods; made by `Interface.client`, cheap to keep."""

    def __init__(
        self, interface: type[Interface], transport: messaging.transport.RPCTransport, host: str | None, cap: str | None,
        retries: int | None,
    ) -> None:
        self._methods = interface.methods()
        self._types = {name: typing.get_type_hints(method) for name, method in self._methods.items()}
        self._cap = cap
        self._name = f"nova-{interface.topic}"
        self._host = host
        target = messaging.Target(topic=interface.topic, version=interface.version.split(".")[0] + ".0", server=host)
        self._client = messaging.get_rpc_client(transport, target, serializer=_ContextSerializer(), retry=retries)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = self._methods[name]
        contract: _Contract = method.rpc_contract  # type: ignore[attr-defined]
        if self._cap and _version(contract.since) > _version(self._cap):
            raise errors.TooOld(service=self._name, host=self._host or "any host", method=name)
        returns = self._types[name].get("return")
        prepared = self._client.prepare(
            version=contract.since, timeout=contract.timeout_s, call_monitor_timeout=contract.monitor_s,
            fanout=contract.fanout or None)

        def send(ctxt: Context, **arguments: Any) -> Any:
            wire = {key: payload.to_wire(value) for key, value in arguments.items()}
            if not contract.is_call:
                prepared.cast(ctxt, name, **wire)
                return None
            try:
                return payload.from_wire(returns, prepared.call(ctxt, name, **wire))
            except messaging.MessagingTimeout as late:
                where = self._host or "any host"
                raise errors.ServiceDown(service=self._name, host=where, reason="no answer in time") from late
            except (messaging.RemoteError, messaging.UnsupportedVersion, messaging.NoSuchMethod) as refused:
                if _kind(refused) not in _UNKNOWN:
                    raise
                raise errors.TooOld(service=self._name, host=self._host or "any host", method=name) from refused
            except messaging.MessageDeliveryFailure as away:
                where = self._host or "any host"
                raise errors.ServiceDown(service=self._name, host=where, reason="the message broker is away") from away

        self.__dict__[name] = send
        return send


def _kind(error: Exception) -> str:
    """The name of the error's class where it was raised; within one process it comes as itself."""
    return str(error.exc_type) if isinstance(error, messaging.RemoteError) else type(error).__name__


class _ContextSerializer(messaging.NoOpSerializer):  # type: ignore[misc]
    def serialize_context(self, ctxt: Context) -> dict[str, object]:
        return ctxt.to_wire()

    def deserialize_context(self, ctxt: dict[str, object]) -> Context:
        return Context.from_wire(ctxt)


def serve(
    interface: type[Interface], transport: messaging.transport.RPCTransport, host: str, endpoints: Sequence[object],
) -> messaging.RPCServer:
    """A server of the interface, not yet started: call `start()`, later `stop()` and `wait()`.

    :raises TypeError: a method has no endpoint, two, or one of another signature.
    """
    dispatch = _Dispatch(interface, endpoints)
    target = messaging.Target(topic=interface.topic, server=host, version=interface.version)
    return messaging.get_rpc_server(
        transport, target, [dispatch], executor="threading", serializer=_ContextSerializer(),
        access_policy=messaging.ExplicitRPCAccessPolicy,
    )


class _Dispatch:
    """The one oslo.messaging endpoint of an interface: rebuilds arguments, hands them to our endpoints."""

    def __init__(self, interface: type[Interface], endpoints: Sequence[object]) -> None:
        self.target = messaging.Target(version=interface.version)
        for name, declared in interface.methods().items():
            found = [bound for endpoint in endpoints if (bound := getattr(endpoint, name, None))]
            if len(found) != 1:
                raise TypeError(f"{interface.__name__}.{name} has {len(found)} endpoints, not one")
            _check_signature(interface, name, declared, found[0])
            setattr(self, name, messaging.expose(_receiver(name, declared, found[0])))


def _check_signature(interface: type[Interface], name: str, declared: Any, bound: Any) -> None:
    expected = [(p.name, p.kind) for p in inspect.signature(declared).parameters.values()][1:]
    actual = [(p.name, p.kind) for p in inspect.signature(bound).parameters.values()]
    if expected != actual or typing.get_type_hints(declared) != typing.get_type_hints(bound):
        raise TypeError(f"{interface.__name__}.{name}: the endpoint's signature differs from the contract")


def _receiver(name: str, declared: Any, bound: Callable[..., Any]) -> Callable[..., Any]:
    types = typing.get_type_hints(declared)

    def receive(ctxt: Context, **wire: Any) -> Any:
        arguments = {key: payload.from_wire(types[key], value) for key, value in wire.items() if key in types}
        try:
            return payload.to_wire(bound(ctxt, **arguments))
        except errors.NovaLiteError as error:
            # Deliberate errors travel to the caller as themselves, without a traceback in this side's log.
            LOG.info("%s: %s", name, error.text)
            raise messaging.ExpectedException() from error

    receive.__name__ = name
    return receive
