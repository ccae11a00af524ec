# SPDX-License-Identifier: Apache-2.0
"""Authenticates messages, so that who can publish on the broker, but has no key, commands nobody: docs/decisions/0018.

A message that concerns a host is signed with that host's key, which is made from the cloud's secret; other messages, with
the key of the control plane, whose "host" is "".
"""

from __future__ import annotations

import dataclasses
import functools
import hmac
import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import oslo_messaging as messaging
from oslo_config import cfg

from nova_lite import errors

# The one method by which signed requests travel, whatever they call.
METHOD: Final = "signed"
# Older ones are refused, and so are those of senders whose clock is ahead; within these, each is taken once.
_MAX_AGE_S, _MAX_AHEAD_S = 600.0, 120.0
_encode_json = json.JSONEncoder(separators=(",", ":")).encode  # json.dumps would make one for each message
_SWAPPED = bytes.maketrans(b'"\\~`', b'~`"\\')
_KEY = re.compile(r"(?:(?P<host>[^\s:]+):)?(?P<key>[0-9a-f]{64})")
# By method that hosts may call of the control plane: the hosts that its arguments speak for.
FromHosts = Mapping[str, Callable[[dict[str, Any]], Iterable[str]]]


class Refused(Exception):  # an answer, not a fault of ours
    """The message is not from the cloud, or not for this daemon, or has been taken before; the text says which."""


@dataclasses.dataclass(frozen=True)
class Request:
    """A verified request, still in JSON's types."""

    method: str
    ctxt: dict[str, Any]
    arguments: dict[str, Any]


class Signer:
    """Signs and verifies with the cloud's secret, or with the key of one `host`."""

    def __init__(self, key: bytes, *, host: str = "", is_required: bool = True, clock: Callable[[], float] = time.time) -> None:
        self.is_required = is_required
        self._host = host
        self._clock = clock
        self._sender, self._count = secrets.token_hex(8), itertools.count()
        self._seen = _Seen(clock)
        self._key_of = functools.lru_cache(4096)(lambda name: host_key(key, name)) if not host else {host: key}.__getitem__

    def request(self, *, topic: str, server: str, method: str, ctxt: dict[str, Any], arguments: dict[str, Any]) -> dict[str, str]:
        """The arguments of METHOD for a request to `server`, "": any one, or all, of the topic."""
        key = server or self._host
        unique = f"{self._sender}{next(self._count)}"
        body = _encode([topic, server, method, self._clock(), unique, ctxt, arguments])
        return {"key": key, "body": body.decode(), "mac": self._mac(key, b"request", body)}

    def open(self, wire: dict[str, Any], *, topic: str, server: str, from_hosts: FromHosts) -> Request:
        """The request, which nothing has interpreted before its signature was verified.

        :raises Refused: it is forged, changed, too old, taken before, or not for this server.
        """
        key, text, mac = (wire.get(name) for name in ("key", "body", "mac"))
        if not (isinstance(key, str) and isinstance(text, str) and isinstance(mac, str)):
            raise Refused("it is no signed request")
        try:
            body = text.encode("ascii")
            expected = self._mac(key, b"request", body)
        except ValueError:
            raise Refused("it is no signed request") from None
        except KeyError:
            raise Refused(f"it is signed with the key of {key or 'the control plane'}, which this host does not have") from None
        if not hmac.compare_digest(expected.encode(), mac.encode()):
            raise Refused("its signature is wrong: it is forged or changed, or its sender has another secret")
        meant, to, method, at, _unique, ctxt, arguments = _decode(body)
        if meant != topic or to not in ("", server) or (to and key != to):
            raise Refused(f"it is for {meant} on {to or 'any host'}, signed with the key of {key or 'the control plane'}")
        if not to and key:
            _check_host(key, method, arguments, from_hosts)
        age_s = self._clock() - at
        if not -_MAX_AHEAD_S <= age_s <= _MAX_AGE_S:
            raise Refused(f"it was sent {age_s:.0f} s ago: it is repeated, or was under way for too long, or a clock is wrong")
        if not self._seen.add(mac):
            raise Refused("it has been taken before")
        return Request(method, ctxt, arguments)

    def answer(self, request: dict[str, Any], answer: dict[str, Any]) -> list[str]:
        """The answer to that request and to no other."""
        body = _encode(answer)
        return [body.decode(), self._mac(request["key"], b"answer " + request["mac"].encode(), body)]

    def open_answer(self, request: dict[str, str], answer: object) -> dict[str, Any]:
        """What was answered. :raises Refused: it is forged, changed, or the answer to another request."""
        match answer:
            case [str(text), str(mac)]:
                body = text.encode()
                if self._is_answer(request, body, mac):
                    opened: dict[str, Any] = _decode(body)
                    return opened
        raise Refused("its signature is wrong or missing")

    def _is_answer(self, request: dict[str, str], body: bytes, mac: str) -> bool:
        if not mac:
            return not self.is_required
        expected = self._mac(request["key"], b"answer " + request["mac"].encode(), body)
        return hmac.compare_digest(expected.encode(), mac.encode())

    def _mac(self, key: str, kind: bytes, body: bytes) -> str:
        """:raises KeyError: this host does not have the key."""
        return hmac.digest(self._key_of(key), b"%b %b" % (kind, body), "sha256").hex()


def _encode(value: object) -> bytes:
    """JSON that has few quotes: oslo.messaging and kombu put it into JSON twice more, where each would be escaped."""
    return _encode_json(value).encode().translate(_SWAPPED)


def _decode(body: bytes) -> Any:  # JSON's types
    return json.loads(body.translate(_SWAPPED))


def unverified(wire: dict[str, Any]) -> Request:
    """A signed request, for a daemon that has no key yet."""
    _topic, _server, method, _at, _unique, ctxt, arguments = _decode(wire["body"].encode())
    return Request(method, ctxt, arguments)


def unsigned(answer: dict[str, Any]) -> list[str]:
    """The answer of a daemon that has no key yet."""
    return [_encode(answer).decode(), ""]


def host_key(secret: bytes, host: str) -> bytes:
    """The key of a host, or with "" the control plane's."""
    return hmac.digest(secret, f"host {host}".encode(), "sha256")


def read_key(path: Path) -> tuple[str, bytes]:
    """The host whose key is in the file, "" for the cloud's secret, and the key.

    :raises OSError: the file cannot be read. :raises errors.WrongKeyFile: it has something else.
    """
    match = _KEY.fullmatch(path.read_text().strip())
    if match is None:
        raise errors.WrongKeyFile(path=path, reason="it must be one line of 64 hexadecimal digits, or a host's name, a colon and these")
    return match["host"] or "", bytes.fromhex(match["key"])


def load(conf: cfg.ConfigOpts) -> Signer | None:
    """The configured signer; None: messages are not signed, or stay in the process.

    :raises OSError: the file cannot be read. :raises errors.WrongKeyFile: it has no key, or that of another host.
    """
    if not conf.rpc.secret_file or str(conf.transport_url or "").startswith("inprocess:"):
        return None
    path = Path(conf.rpc.secret_file)
    host, key = read_key(path)
    if host not in ("", conf.host):
        raise errors.WrongKeyFile(path=path, reason=f"it has the key of host {host}, and [DEFAULT] host is {conf.host}")
    return Signer(key, host=host, is_required=not conf.rpc.allow_unsigned)


def attach(transport: messaging.transport.RPCTransport, signer: Signer | None) -> None:
    """Sign and verify all that goes by this transport."""
    transport.nova_lite_signer = signer


def of(transport: messaging.transport.RPCTransport) -> Signer | None:
    """The transport's signer."""
    signer: Signer | None = getattr(transport, "nova_lite_signer", None)
    return signer


def _check_host(key: str, method: str, arguments: dict[str, Any], from_hosts: FromHosts) -> None:
    """:raises Refused: a host may not call the method, or speaks for another host."""
    if method not in from_hosts:
        raise Refused(f"host {key} may not call {method}")
    others = [host for host in from_hosts[method](arguments) if host != key]
    if others:
        raise Refused(f"host {key} calls {method} for host {others[0]}")


class _Seen:
    """The signatures of the last minutes: those of two periods, each as long as a message may be under way."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._now: set[int] = set()
        self._before: set[int] = set()
        self._ends = 0.0

    def add(self, mac: str) -> bool:
        """Whether it has not been seen."""
        number = int(mac[:16], 16)
        with self._lock:
            if self._clock() >= self._ends:
                self._before, self._now = self._now, set()
                self._ends = self._clock() + _MAX_AGE_S + _MAX_AHEAD_S
            if number in self._now or number in self._before:
                return False
            self._now.add(number)
            return True
