# SPDX-License-Identifier: Apache-2.0
"""What we set on oslo.messaging is what it works with."""

from __future__ import annotations

import oslo_messaging as messaging
import pytest
from oslo_messaging._drivers.amqpdriver import RpcAMQPListener

from nova_lite.rpc import transport
from tests.support.options import defaults


class Driver:
    prefetch_size = 1


class Waited(Exception):  # the end of the test
    """For how long the reader wanted to wait for a message."""


class Queue:
    def consume(self, *, timeout: float) -> None:
        raise Waited(timeout)


def test_a_reader_of_a_queue_is_not_woken_in_the_milliseconds_after_a_message() -> None:
    messaging.set_transport_defaults("nova")
    conf = defaults()
    conf.register_opts(messaging.transport._transport_opts)  # registered only by get_rpc_transport
    conf.set_override("transport_url", "rabbit://127.0.0.1:1/")
    transport.connect(conf).cleanup()
    with pytest.raises(Waited) as waited:
        RpcAMQPListener(Driver(), Queue()).poll(timeout=10)
    assert waited.value.args[0] >= 0.1
