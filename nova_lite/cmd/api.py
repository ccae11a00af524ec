# SPDX-License-Identifier: Apache-2.0
"""nova-api: the daemon; a parent process, and `[api] workers` workers that serve one listening socket."""

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
from nova_lite.runtime.http.peers import Peer, Peers

_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
_RESTART_DELAY_S = 0.2  # a worker that cannot start must not be started again in a busy loop
_GRACE_S = 15  # for requests in progress


def main() -> None:
    """Run until SIGTERM or SIGINT."""
    concurrency.choose_before_imports(sys.argv, default="threads")
    from oslo_log import log as logging

    from nova_lite.api import deploy  # workers share what is imported before they are forked
    from nova_lite.cmd import daemon
    from nova_lite.db import migrate

    conf = daemon.configure("nova-api", "Serve the APIs of the paste file.", sys.argv[1:])
    with daemon.starting("nova-api"):
        deploy.paste_file(conf)  # or each worker would fail on it, as on the database of another release
        migrate.open_upgraded(conf, limit_s=conf.api.database_timeout).close()
        listener = _listen(conf)
    logging.getLogger(__name__).info("nova-api is up on %s", concurrency.at(conf.api.listen, conf.api.port))
    Workers(conf, listener, logging.getLogger(__name__)).run()


def _listen(conf: Any) -> socket.socket:  # oslo.config is not imported when this file is
    try:
        return concurrency.listen(conf.api.listen, conf.api.port)
    except OSError as error:
        raise OSError(f"cannot listen on {concurrency.at(conf.api.listen, conf.api.port)}: {error.strerror}; set [api] listen and port") from error


class Workers:
    """Forks the workers, replaces one that dies, and stops them all on SIGTERM or SIGINT."""

    def __init__(self, conf: Any, listener: socket.socket, log: Any) -> None:  # not imported when this file is
        self._conf = conf
        self._listener = listener
        self._log = log
        self._numbers: dict[int, int] = {}  # of the workers that run, by pid
        self._peers = Peers(conf.api.workers)
        self._is_stopping = False
        # Only this process has the writing end: its workers see EOF when it ends, in whatever way.
        self._lifeline, self._writing_end = os.pipe()

    def run(self) -> None:
        """Block until SIGTERM or SIGINT, and until all workers have ended."""
        for stop in _STOP_SIGNALS:
            signal.signal(stop, self._stop)
        gc.collect()
        gc.freeze()  # a collection in a worker would copy every page that it shares with the others
        for number in range(self._conf.api.workers):
            self._fork(number)
        while self._numbers and (pid := concurrency.wait_for_child()):
            ended = self._numbers.pop(pid, None)
            if ended is None:  # a child of the program that became this one, or an orphan of a container whose first process this is
                continue
            self._peers.peer(ended).leave()
            if not self._is_stopping:
                self._log.error("worker %d has ended; starting another one", pid)
                concurrency.block(_RESTART_DELAY_S)
                self._fork(ended)

    def _fork(self, number: int) -> None:
        with _signals_blocked():
            if self._is_stopping:
                return
            pid = os.fork()
            if pid == 0:
                self._work(number)
            self._numbers[pid] = number

    def _work(self, number: int) -> None:
        """Run a worker; never returns. It ends with its parent, so that the next parent finds the port free."""
        status = 1
        try:
            concurrency.part_from_parent()
            os.close(self._writing_end)
            for stop in _STOP_SIGNALS:
                signal.signal(stop, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            serve(self._conf, self._listener, lifeline=self._lifeline, peer=self._peers.peer(number))
            status = 0
        finally:
            os._exit(status)

    def _stop(self, _number: int, _frame: Any) -> None:  # the signal module's types
        self._is_stopping = True
        for pid in self._numbers:
            os.kill(pid, signal.SIGTERM)


@contextlib.contextmanager
def _signals_blocked() -> Iterator[None]:
    """Handle a signal that arrives meanwhile afterwards: by then the parent has recorded the child, and the child has its own handlers."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)


def serve(conf: Any, listener: socket.socket, *, lifeline: int, peer: Peer) -> None:  # as above
    """One worker: its own database pool and message bus, opened after the fork."""
    from nova_lite.api import deploy
    from nova_lite.api.image.cleanup import store_cleaner
    from nova_lite.api.wsgi.admission import http_server
    from nova_lite.api.wsgi.request import Parts, RpcClients
    from nova_lite.cmd import daemon
    from nova_lite.db.engine import open_database
    from nova_lite.notifications import emitter

    concurrency.end_at_eof(lifeline)
    database = open_database(conf, limit_s=conf.api.database_timeout)
    notifier = emitter.attach(conf, database, binary="nova-api")
    parts = Parts(conf, database, RpcClients(daemon.connect(conf)))
    server = http_server(parts, deploy.load(parts), listener, peer=peer)
    store_cleaner(parts).start()
    server.end_by(_STOP_SIGNALS, grace_s=_GRACE_S)
    server.serve()
    parts.waiting.stop()
    if notifier is not None:
        notifier.stop()
