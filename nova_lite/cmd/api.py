# SPDX-License-Identifier: Apache-2.0
"""nova-api: the daemon; a parent that keeps `[api] workers` processes serving one listening socket."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import socket
import sys
from collections.abc import Iterator
from typing import Any

from nova_lite.runtime import concurrency

_ASKED_TO_END = (signal.SIGTERM, signal.SIGINT)
_PAUSE_S = 0.2  # a worker that cannot start must not be started again and again without a rest
_GRACE_S = 15  # for requests in hand


def main() -> None:
    """Run until asked to end."""
    concurrency.choose_before_imports(sys.argv, default="threads")
    from oslo_log import log as logging

    from nova_lite.api import deploy as paste  # noqa: F401 - workers share what is imported before they are forked
    from nova_lite.cmd import daemon

    conf = daemon.configure(sys.argv[1:])
    try:
        listener = concurrency.listen(conf.api.listen, conf.api.port)
    except OSError as taken:
        sys.exit(f"nova-api: cannot listen on {conf.api.listen}:{conf.api.port}: {taken.strerror}; "
                 "set [api] listen and port")
    logging.getLogger(__name__).info("nova-api is up on %s:%s", conf.api.listen, conf.api.port)
    Workers(conf, listener, logging.getLogger(__name__)).run()


class Workers:
    """Forks the workers, replaces one that dies, ends them all when asked."""

    def __init__(self, conf: Any, listener: socket.socket, log: Any) -> None:  # noqa: ANN401 - not imported when this file is
        self._conf = conf
        self._listener = listener
        self._log = log
        self._pids: set[int] = set()
        self._is_stopping = False
        # Held open by this process alone: its workers see the end of it, however it ends.
        self._lifeline, self._held = os.pipe()

    def run(self) -> None:
        """Block until SIGTERM or SIGINT, and until all workers have ended."""
        for number in _ASKED_TO_END:
            signal.signal(number, self._stop)
        gc.collect()
        gc.freeze()  # a collection in a worker would copy every page that it shares with the others
        for _ in range(self._conf.api.workers):
            self._fork()
        while self._pids and (pid := concurrency.wait_for_child()):
            self._pids.discard(pid)
            if not self._is_stopping:
                self._log.error("worker %d has ended; another takes its place", pid)
                concurrency.block(_PAUSE_S)
                self._fork()

    def _fork(self) -> None:
        with _signals_wait():
            if self._is_stopping:
                return
            pid = os.fork()
            if pid == 0:
                self._work()
            self._pids.add(pid)

    def _work(self) -> None:
        """Be a worker; never returns. It ends with its parent, so that the port is free for the next one."""
        status = 1
        try:
            concurrency.part_from_parent()
            os.close(self._held)
            for number in _ASKED_TO_END:
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED_TO_END)
            serve(self._conf, self._listener, lifeline=self._lifeline)
            status = 0
        finally:
            os._exit(status)

    def _stop(self, _number: int, _frame: Any) -> None:  # noqa: ANN401 - the signal module's types
        self._is_stopping = True
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)


@contextlib.contextmanager
def _signals_wait() -> Iterator[None]:
    """A signal that comes meanwhile is handled afterwards: the parent then knows the child, the child itself."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED_TO_END)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED_TO_END)


def serve(conf: Any, listener: socket.socket, *, lifeline: int) -> None:  # noqa: ANN401 - as above
    """One worker: its own database pool and message bus, made after the fork."""
    from nova_lite.api import deploy as paste
    from nova_lite.api.image.cleanup import store_cleaner
    from nova_lite.api.wsgi.request import Parts, RpcClients
    from nova_lite.cmd import daemon
    from nova_lite.db.engine import open_database
    from nova_lite.notifications import emitter

    concurrency.end_at_eof(lifeline)
    database = open_database(conf)
    told = emitter.attach(conf, database, binary="nova-api")
    parts = Parts(conf, database, RpcClients(daemon.connect(conf)))
    server = concurrency.HttpServer(paste.load(parts), listener, threads=conf.api.threads)
    store_cleaner(parts).start()
    server.end_by(_ASKED_TO_END, grace_s=_GRACE_S)
    server.serve()
    if told is not None:
        told.stop()
