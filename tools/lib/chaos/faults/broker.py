# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: ARG001 - all faults have one signature
"""Faults of the message broker, and of messages."""

from __future__ import annotations

import json
import random
import shutil
import time

from tools.lib.chaos.clouds import SeparateDaemons
from tools.lib.chaos.faults.registry import fault, frozen
from tools.lib.services.processes import descendants


@fault("broker-restart", row=1, seconds=2)
def broker_restart(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ stops and comes back."""
    cloud.cloud.broker.stop()
    time.sleep(seconds)
    cloud.cloud.broker.start()


@fault("broker-wiped", row=2, seconds=1)
def broker_wiped(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ is killed and comes back without its data."""
    broker = cloud.cloud.broker
    broker.kill9()
    shutil.rmtree(broker.state_dir / "data")
    time.sleep(seconds)
    broker.start()


@fault("broker-absent", row=3, seconds=60)
def broker_absent(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ is away."""
    broker_restart(cloud, seconds, rng)


@fault("broker-alarm", row=4, seconds=45)
def broker_alarm(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ blocks publishers, as when its memory is short."""
    broker = cloud.cloud.broker
    broker.ctl("set_vm_memory_high_watermark", "0.000001")
    try:
        time.sleep(seconds)
    finally:
        broker.ctl("set_vm_memory_high_watermark", "0.4")


@fault("broker-hung", row=5, seconds=40)
def broker_hung(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """RabbitMQ is stopped by SIGSTOP."""
    pid = cloud.cloud.broker._broker.pid
    with frozen([pid, *(child.pid for child in descendants(pid))]):
        time.sleep(seconds)


@fault("messages-dropped", row=6, seconds=60)
def messages_dropped(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """One message of ten is lost."""
    _unreliable(cloud, seconds, rng, drop=0.1)


@fault("messages-doubled", row=7, seconds=45)
def messages_doubled(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Three messages of ten come twice."""
    _unreliable(cloud, seconds, rng, double=0.3)


@fault("messages-late", row=8, seconds=45)
def messages_late(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """One message of five is up to 2 s late, one of ten comes twice."""
    _unreliable(cloud, seconds, rng, late_rate=0.2, late_s=2.0, double=0.1)


@fault("queues-purged", row=9, seconds=20)
def queues_purged(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """Queues are emptied, and connections closed by the broker, again and again."""
    broker, until = cloud.cloud.broker, time.monotonic() + seconds
    while time.monotonic() < until:
        for queue in broker.ctl("list_queues", "name", "--no-table-headers").split():
            broker.ctl("purge_queue", queue)
        broker.ctl("close_all_connections", "chaos")


@fault("queues-deleted", row=10, seconds=1)
def queues_deleted(cloud: SeparateDaemons, seconds: float, rng: random.Random) -> None:
    """The queues of all topics are deleted."""
    broker = cloud.cloud.broker
    for queue in broker.ctl("list_queues", "name", "--no-table-headers").split():
        if not queue.startswith(("reply_", "amq.")):
            broker.ctl("delete_queue", queue)
    time.sleep(seconds)


def _unreliable(cloud: SeparateDaemons, seconds: float, rng: random.Random, **rates: float) -> None:
    cloud.rates.write_text(json.dumps({**rates, "seed": rng.randrange(1 << 30)}))
    try:
        time.sleep(seconds)
    finally:
        cloud.rates.unlink()
