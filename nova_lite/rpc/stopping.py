# SPDX-License-Identifier: Apache-2.0
"""Stops an RPC server so that it loses no request: what the broker has handed to it is served, and it is handed no more."""

from __future__ import annotations

import threading
from typing import Any

import oslo_messaging as messaging
from oslo_log import log as logging

LOG = logging.getLogger(__name__)
# Of a broker that does not answer nothing is expected: callers send again what they get no answer to.
_CANCEL_S = 2.0


def stop(server: messaging.RPCServer) -> None:
    """Take no more requests, and return when those that were taken have been served.

    oslo.messaging 18.3 stops reading, but stays a consumer until it closes its connection after the last request. What
    the broker sends meanwhile is acknowledged while it closes, and nobody reads it any more: a call is never answered.
    """
    server.stop()
    listener = getattr(server.listener, "_poll_style_listener", None)
    connection = getattr(listener, "conn", None)
    if listener is not None and connection is not None:
        cancelling = threading.Thread(target=_cancel, args=(connection,), name="cancel-consumers", daemon=True)
        cancelling.start()
        cancelling.join(_CANCEL_S)
        _serve_the_rest(server, listener)
    server.wait()


def _cancel(connection: Any) -> None:  # oslo.messaging's connection
    """The broker confirms it after all that it has sent, which is read on the way."""
    try:
        connection.reset()
    except Exception as error:  # noqa: BLE001 - whatever a broken connection raises: nothing comes by it any more
        LOG.info("the message broker did not confirm the end of a consumer: %s", error)


def _serve_the_rest(server: Any, listener: Any) -> None:  # no public types
    while incoming := listener.poll(batch_size=1, batch_timeout=None):
        LOG.debug("a request that came while the server stopped is served")
        server._on_incoming(incoming)  # what the listener's thread calls
