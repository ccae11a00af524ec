# SPDX-License-Identifier: Apache-2.0
"""nova-api: the daemon; a parent that keeps `[api] workers` processes serving one listening socket."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from typing import Any

from nova_lite import concurrency


def main() -> None:
    """Run until asked to end."""
    concurrency.choose_before_imports(sys.argv, default="eventlet")
    from oslo_log import log as logging

    from nova_lite.cmd import daemon

    conf = daemon.configure(sys.argv[1:])
    try:
        listener = concurrency.listen(conf.api.listen, conf.api.port)
    except OSError as taken:
        sys.exit(f"nova-api: cannot listen on {conf.api.listen}:{conf.api.port}: {taken.strerror}; "
                 "set [api] listen and port")
    logging.getLogger(__name__).info("nova-api is up on %s:%s", conf.api.listen, conf.api.port)
    Workers(conf, listener).run()


class Workers:
    """Forks the workers, replaces one that dies, ends them all when asked."""

    def __init__(self, conf: Any, listener: socket.socket) -> None:  # noqa: ANN401 - oslo.config is not imported yet here
        self._conf = conf
        self._listener = listener
        self._pids: set[int] = set()
        self._is_stopping = False

    def run(self) -> None:
        """Block until SIGTERM or SIGINT."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        for _ in range(self._conf.api.workers):
            self._fork()
        while self._pids:
            try:
                pid, _ = os.wait()
            except ChildProcessError:
                break
            self._pids.discard(pid)
            if not self._is_stopping:
                time.sleep(0.2)  # a worker that cannot start must not spin
                self._fork()

    def _fork(self) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                serve(self._conf, self._listener)
            finally:
                os._exit(0)
        self._pids.add(pid)

    def _stop(self, _number: int, _frame: Any) -> None:  # noqa: ANN401 - the signal module's types
        self._is_stopping = True
        for pid in self._pids:
            os.kill(pid, signal.SIGTERM)


def serve(conf: Any, listener: socket.socket) -> None:  # noqa: ANN401 - as above
    """One worker: its own database pool and message bus, made after the fork."""
    from nova_lite.api.wsgi import paste
    from nova_lite.api.wsgi.request import Parts, RpcClients
    from nova_lite.cmd import daemon
    from nova_lite.db.engine import open_database

    parts = Parts(conf, open_database(conf), RpcClients(daemon.connect(conf)))
    server = concurrency.HttpServer(paste.load(parts), listener, threads=conf.api.threads)

    def stop(_number: int, _frame: Any) -> None:  # noqa: ANN401 - the signal module's types
        server.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    server.serve()
