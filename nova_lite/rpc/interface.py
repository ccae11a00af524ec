# SPDX-License-Identifier: Apache-2.0
"""RPC contracts declared once, as classes of signatures: a typed sender and a checked server come from them."""

from __future__ import annotations

import contextlib
import dataclasses
import inspect
import threading
import time
import typing
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NoReturn, Self, TypeVar

import oslo_messaging as messaging
from oslo_log import log as logging
from oslo_messaging.rpc.server import RPCServer

from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc import payload, signing

LOG = logging.getLogger(__name__)
# What a server raises that does not know the method, or its version.
_UNKNOWN = frozenset({"UnsupportedVersion", "NoSuchMethod"})
_LOGGED_EVERY_S = 60.0
_SHOWN = 60  # letters of a name that anybody may have sent
_Handler = Callable[[Context, dict[str, Any]], Any]
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
    """Base of a contract; a subclass states `topic`, `version` and its methods' signatures.

    `from_hosts`: the methods of a control plane's service that a host's key is enough for.
    """

    topic: typing.ClassVar[str]
    version: typing.ClassVar[str]
    from_hosts: typing.ClassVar[signing.FromHosts] = {}

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
        self._cap, self._topic, self._signer = cap, interface.topic, signing.of(transport)
        self._name = f"nova-{interface.topic}"
        self._host = host
        target = messaging.Target(topic=interface.topic, version=interface.version.split(".")[0] + ".0", server=host)
        self._client = messaging.get_rpc_client(transport, target, retry=retries)

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
            request = self._signed(name, ctxt, wire)
            if not contract.is_call:
                prepared.cast(ctxt.to_wire(), name, **wire) if request is None else prepared.cast({}, signing.METHOD, **request)
                return None
            try:
                result = prepared.call(ctxt.to_wire(), name, **wire) if request is None else self._call_signed(prepared, name, request)
                with self._reading():
                    return payload.from_wire(returns, result)
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

    def _signed(self, name: str, ctxt: Context, wire: dict[str, Any]) -> dict[str, str] | None:
        """The request as the bus's signer sends it; None: there is none."""
        if self._signer is None:
            return None
        return self._signer.request(topic=self._topic, server=self._host or "", method=name, ctxt=ctxt.to_wire(), arguments=wire)

    def _call_signed(self, prepared: Any, name: str, request: dict[str, str]) -> Any:  # oslo.messaging's client
        """The result; an error that was answered is raised.

        :raises errors.ServiceDown: what was answered is not signed as it must be.
        """
        assert self._signer is not None
        where = self._host or "any host"
        try:
            answer = self._signer.open_answer(request, prepared.call({}, signing.METHOD, **request))
        except (messaging.MessagingTimeout, messaging.MessageDeliveryFailure):
            raise
        except Exception as error:  # what the other side raised, if it was the other side
            if not self._signer.is_required and not isinstance(error, signing.Refused):
                raise
            raise errors.ServiceDown(service=self._name, host=where, reason=f"an answer that is not signed is refused: {error}") from error
        with self._reading():
            raised = _raised(answer)
            if raised is None:
                return answer["result"]
        raise raised

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """:raises errors.ServiceDown: what was answered is nothing that the method answers."""
        try:
            yield
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise errors.ServiceDown(service=self._name, host=self._host or "any host", reason="its answer cannot be read") from error


def _raised(answer: dict[str, Any]) -> Exception | None:
    """The error in a signed answer; None: it has a result."""
    if "error" in answer:
        kind, text, fields = answer["error"]
        refusal: errors.NovaLiteError = getattr(errors, kind, errors.NovaLiteError)(str(text))
        refusal.kwargs = dict(fields)
        return refusal
    failure: Exception | None = messaging.RemoteError(*answer["exception"]) if "exception" in answer else None
    return failure


def _kind(error: Exception) -> str:
    """The name of the error's class where it was raised; within one process it comes as itself."""
    return str(error.exc_type) if isinstance(error, messaging.RemoteError) else type(error).__name__


def serve(
    interface: type[Interface], transport: messaging.transport.RPCTransport, host: str, endpoints: Sequence[object],
) -> RPCServer:
    """A server of the interface, not yet started: call `start()`, later `stop()` and `wait()`.

    :raises TypeError: a method has no endpoint, two, or one of another signature.
    """
    dispatch = _Dispatch(interface, endpoints, host=host, signer=signing.of(transport))
    target = messaging.Target(topic=interface.topic, server=host, version=interface.version)
    return RPCServer(transport, target, _QuietDispatcher(dispatch), executor="threading")


class _QuietDispatcher(messaging.RPCDispatcher):  # type: ignore[misc]
    """oslo.messaging's, which would log a traceback for each request of another release."""

    def __init__(self, endpoint: _Dispatch) -> None:
        super().__init__([endpoint], None, messaging.ExplicitRPCAccessPolicy)
        self._endpoint = endpoint

    def dispatch(self, incoming: Any) -> Any:  # oslo.messaging's
        method, version = str(incoming.message.get("method")), str(incoming.message.get("version", "1.0"))
        if not (self._endpoint.knows(method) and incoming.message.get("namespace") is None and self._is_compatible(self._endpoint.target, version)):
            # oslo.messaging 18.3 would send the caller signs that it is at work, for ever, by a thread for each such request.
            incoming.client_timeout = None
        try:
            return super().dispatch(incoming)
        except (messaging.NoSuchMethod, messaging.UnsupportedVersion) as unknown:
            self._endpoint.note_unknown(method, version=version)
            raise messaging.ExpectedException() from unknown


class _Dispatch:
    """The one oslo.messaging endpoint of an interface: verifies requests, rebuilds arguments, hands them to our endpoints."""

    def __init__(self, interface: type[Interface], endpoints: Sequence[object], *, host: str, signer: signing.Signer | None) -> None:
        self.target = messaging.Target(version=interface.version)
        self._interface, self._host, self._signer = interface, host, signer
        self._refusals = _Refusals()
        self._handlers: dict[str, _Handler] = {}
        for name, declared in interface.methods().items():
            found = [bound for endpoint in endpoints if (bound := getattr(endpoint, name, None))]
            if len(found) != 1:
                raise TypeError(f"{interface.__name__}.{name} has {len(found)} endpoints, not one")
            _check_signature(interface, name, declared, found[0])
            self._handlers[name] = _handler(declared, found[0])
            setattr(self, name, messaging.expose(self._receiver(name)))

    @messaging.expose  # type: ignore[untyped-decorator]
    def signed(self, _ctxt: dict[str, Any], **wire: Any) -> list[str]:
        """Any request, signed: its answer is signed too, whatever it is."""
        signer = self._signer
        if signer is None:
            return signing.unsigned(self._answer(signing.unverified(wire)))
        try:
            request = signer.open(wire, topic=self._interface.topic, server=self._host, from_hosts=self._interface.from_hosts)
        except signing.Refused as refused:
            self._refuse(str(refused))
        return signer.answer(wire, self._answer(request))

    def _receiver(self, name: str) -> Callable[..., Any]:
        """The method by which unsigned requests come."""
        def receive(ctxt: dict[str, Any], **wire: Any) -> Any:
            if self._signer is not None and self._signer.is_required:
                self._refuse(f"{name} is not signed")
            try:
                return self._handlers[name](Context.from_wire(ctxt), wire)
            except errors.NovaLiteError as error:
                # Deliberate errors travel to the caller as themselves, without a traceback in this side's log.
                LOG.info("%s: %s", name, error.text)
                raise messaging.ExpectedException() from error

        receive.__name__ = name
        return receive

    def _answer(self, request: signing.Request) -> dict[str, Any]:
        """`result`, or what was raised, as it travels."""
        name = request.method
        if name not in self._handlers:
            self.note_unknown(name)
            return {"exception": ["NoSuchMethod", name]}
        try:
            return {"result": self._handlers[name](Context.from_wire(request.ctxt), request.arguments)}
        except errors.NovaLiteError as error:
            LOG.info("%s: %s", name, error.text)
            return {"error": [type(error).__name__, error.text, error.kwargs]}
        except Exception as error:  # what oslo.messaging does with it
            LOG.exception("%s failed", name)
            return {"exception": [type(error).__name__, str(error)]}

    def knows(self, method: str) -> bool:
        """Whether requests may come by this name."""
        return method in self._handlers or method == "signed"

    def note_unknown(self, method: str, *, version: str | None = None) -> None:
        """Say that a daemon of another release has sent what this one does not know."""
        self._refusals.note(self._interface.topic, f"{method[:_SHOWN]!r}{f' of version {version[:_SHOWN]!r}' if version else ''} is a request of another release: upgrade "
                                                   "the daemon that sent it")

    def _refuse(self, reason: str) -> NoReturn:
        """Say why to the caller too, who may be one of ours with another key.

        :raises messaging.ExpectedException: always.
        """
        self._refusals.note(self._interface.topic, reason)
        try:
            raise errors.Unavailable(reason=f"the {self._interface.topic} service on {self._host} refused a message: {reason}")
        except errors.Unavailable as error:
            raise messaging.ExpectedException() from error


class _Refusals:
    """Logs that messages were refused, at most once a minute."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count, self._logged_at = 0, float("-inf")

    def note(self, topic: str, reason: str) -> None:
        with self._lock:
            self._count += 1
            if time.monotonic() - self._logged_at < _LOGGED_EVERY_S:
                return
            count, self._count, self._logged_at = self._count, 0, time.monotonic()
        LOG.warning("%s: %d messages refused, the last one because %s", topic, count, reason)


def _check_signature(interface: type[Interface], name: str, declared: Any, bound: Any) -> None:
    expected = [(p.name, p.kind) for p in inspect.signature(declared).parameters.values()][1:]
    actual = [(p.name, p.kind) for p in inspect.signature(bound).parameters.values()]
    if expected != actual or typing.get_type_hints(declared) != typing.get_type_hints(bound):
        raise TypeError(f"{interface.__name__}.{name}: the endpoint's signature differs from the contract")


def _handler(declared: Any, bound: Callable[..., Any]) -> _Handler:
    types = typing.get_type_hints(declared)

    def handle(ctxt: Context, wire: dict[str, Any]) -> Any:
        return payload.to_wire(bound(ctxt, **{key: payload.from_wire(types[key], value) for key, value in wire.items() if key in types}))

    return handle
