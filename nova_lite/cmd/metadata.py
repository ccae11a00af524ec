# SPDX-License-Identifier: Apache-2.0
"""The metadata server of a host, which nova-network starts: it reads what guests send, so it has no rights.

Arguments: a mark by which its nova-network knows it, and the numbers of three inherited sockets: one that brings listening
sockets, and two for questions, each a JSON line that is answered by one.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import pwd
import resource
import socket
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, Final

from nova_lite import errors
from nova_lite.api.metadata.app import MetadataApp
from nova_lite.runtime.http.admission import Admission, Refusal
from nova_lite.runtime.http.head import Head
from nova_lite.runtime.http.limits import Limits
from nova_lite.runtime.http.policy import READS, WRITES, ByMethod
from nova_lite.runtime.http.server import Server
from nova_lite.worker import unprivileged

# Of linux/sched.h and linux/prctl.h.
_CLONE_NEWNET, _SET_DUMPABLE, _SET_NO_NEW_PRIVS = 0x40000000, 4, 38
# Per network, so that one tenant's requests hold up nobody else's. cloud-init uses one connection at a time.
_LIMITS: Final = Limits(
    head_s=5, keep_alive_s=5, grace_s=5, connections_of_address=4, connections=64, lingering=0, end_s=1)
_SIZES: Final = {READS: 2, WRITES: 1}
_MAX_BODY: Final = 64 * 1024
_ANSWERED_WITHIN_S: Final = 90  # longer than a call to a conductor takes


class _Policy(ByMethod):
    """Guests read, and may post a small password."""

    def refusal(self, head: Head) -> Refusal | None:
        if head.is_chunked or head.content_length > _MAX_BODY:
            return Refusal(413, None, "The request is too large.")
        return None


class _Channel:
    """Queries nova-network, one question at a time."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(_ANSWERED_WITHIN_S)
        self._file = connection.makefile("rwb")
        self._lock = threading.Lock()

    def query(self, *question: str) -> dict[str, Any]:
        """The answer; the process ends when there is none, since answers would be taken for those of other questions."""
        try:
            with self._lock:
                self._file.write(json.dumps(question).encode() + b"\n")
                self._file.flush()
                answer: dict[str, Any] = json.loads(self._file.readline())
                return answer
        except (OSError, ValueError):
            os._exit(1)


class _Store:
    """The guests' documents, which nova-network has."""

    def __init__(self, documents: _Channel, passwords: _Channel) -> None:
        self._documents, self._passwords = documents, passwords

    def find(self, network_id: str, address: str) -> dict[str, str] | None:
        """See api.metadata.app.Store."""
        found: dict[str, str] | None = self._documents.query(network_id, address)["documents"]
        return found

    def post_password(self, network_id: str, address: str, password: str) -> None:
        """See api.metadata.app.Store."""
        answer = self._passwords.query(network_id, address, password)
        if "error" in answer:
            refusal: type[errors.NovaLiteError] = getattr(errors, answer["error"])
            raise refusal(answer["text"])


def _drop_rights() -> None:
    """Become a user without rights, for good, in a network namespace with nothing in it; call after all imports.

    :raises OSError: the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    user = pwd.getpwnam(unprivileged.USER)
    if libc.unshare(_CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "unshare")
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    os.setgroups([])
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    for option, value in ((_SET_NO_NEW_PRIVS, 1), (_SET_DUMPABLE, 0)):  # other processes of that user may not trace it
        if libc.prctl(option, value, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


def _serve(network_id: str, listener: socket.socket, store: _Store) -> Server:
    app = MetadataApp(store)

    def for_network(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return app({**environ, "nova.network_id": network_id}, start_response)

    server = Server(for_network, listener, admission=Admission(_SIZES, max_wait_s=_LIMITS.max_wait_s, max_queued=64),
                    policy=_Policy(), threads=sum(_SIZES.values()), limits=_LIMITS)
    threading.Thread(target=server.serve, name=network_id[:8], daemon=True).start()
    return server


def main(arguments: list[str]) -> None:
    """Serve the networks whose sockets come, until nova-network is gone."""
    control, documents, passwords = (socket.socket(fileno=int(number)) for number in arguments[1:])
    logging.basicConfig(format="nova-metadata: %(message)s", level=logging.WARNING)
    _drop_rights()
    store = _Store(_Channel(documents), _Channel(passwords))
    servers: dict[str, Server] = {}
    while True:
        message, handles, _, _ = socket.recv_fds(control, 256, 1)
        if not message:
            os._exit(0)
        word, network_id = message.decode().split()
        former = servers.pop(network_id, None)
        if former is not None:
            former.stop()
        if word == "open":
            servers[network_id] = _serve(network_id, socket.socket(fileno=handles[0]), store)


if __name__ == "__main__":
    main(sys.argv[1:])
