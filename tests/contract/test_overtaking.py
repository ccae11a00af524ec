# SPDX-License-Identifier: Apache-2.0
"""Actions that wait for what a real guest never does, and the later ones that must not wait with them."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

from nova_lite import errors
from nova_lite.compute.host import Host
from nova_lite.compute.operations.build import Build
from nova_lite.compute.operations.guest_agent import Inside
from nova_lite.compute.operations.power import Power as PowerOperations
from nova_lite.compute.operations.soft_delete import SoftDelete
from nova_lite.compute.records import Records
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc.compute import Guest, RebootType
from tests.contract.test_compute_driver import Subject, _conf, _nothing_left, subject  # noqa: F401 - fixtures
from tests.support.private_libvirt import missing
from tests.support.wait import wait_until
from tests.unit.compute.conftest import Listener, at

# The simulated driver's guests do at once what is requested.
pytestmark = pytest.mark.parametrize("subject", [
    pytest.param("libvirt", marks=pytest.mark.skipif(bool(missing()), reason=f"not here: {', '.join(missing())}")),
], indirect=True)
# Every wait below would last this long: nothing in the guest hears of a power button or answers as an agent.
SHUTDOWN_TIMEOUT_S = 45
SOON_S = 20  # with a busy machine's room
CTXT = Context()


@dataclasses.dataclass
class Worker:
    """A compute worker's operations on the subject's driver."""

    host: Host
    build: Build
    power: PowerOperations
    inside: Inside
    soft_delete: SoftDelete
    listener: Listener
    guest: Guest

    @property
    def server_id(self) -> str:
        return self.guest.server_id


@pytest.fixture
def worker(subject: Subject, tmp_path: Path) -> Worker:  # noqa: F811
    records = Records(tmp_path / "records", is_durable=False)
    (tmp_path / "records").mkdir()
    records.load()
    listener = Listener()
    host = Host(conf=_conf(tmp_path), driver=subject.driver, records=records, conductor=listener)
    plain = subject.guest()
    said = {"os_shutdown_timeout": str(SHUTDOWN_TIMEOUT_S), "hw_qemu_guest_agent": "yes"}
    guest = dataclasses.replace(plain, image=dataclasses.replace(plain.image, properties=said))
    made = Worker(host, Build(host), PowerOperations(host), Inside(host), SoftDelete(host), listener, guest)
    made.build.build(CTXT, order=at(1), guest=guest)
    listener.done.clear()
    return made


@contextlib.contextmanager
def waiting(worker: Worker, operation: Callable[..., None], **arguments: Any) -> Iterator[futures.Future[None]]:
    """An action that has begun and waits for the guest."""
    with futures.ThreadPoolExecutor(1) as thread:
        future = thread.submit(operation, CTXT, server_id=worker.server_id, order=at(2), **arguments)
        wait_until(lambda: worker.host.locks.is_held(worker.server_id), "the operation to begin")
        assert not futures.wait([future], timeout=1).done, "it did not wait"
        yield future


def soft_reboot(worker: Worker) -> contextlib.AbstractContextManager[futures.Future[None]]:
    return waiting(worker, worker.power.reboot, reboot_type=RebootType.SOFT)


def password(worker: Worker) -> contextlib.AbstractContextManager[futures.Future[None]]:
    return waiting(worker, worker.inside.change_password, password="x")  # no secret


@pytest.mark.timed
def test_a_hard_reboot_overtakes_a_soft_one(worker: Worker) -> None:
    with soft_reboot(worker):
        began = time.monotonic()
        worker.power.reboot(CTXT, server_id=worker.server_id, order=at(3), reboot_type=RebootType.HARD)
        assert time.monotonic() - began < SOON_S
    assert worker.listener.done == [(worker.server_id, 3, Power.RUNNING)]
    assert worker.host.driver.power.state(worker.server_id) is Power.RUNNING


def test_a_hard_reboot_overtakes_a_suspend(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a guest whose memory is on its way to the disk, or there: what it was is given up, and it runs."""
    begun = threading.Event()
    suspend = worker.host.driver.power.suspend
    monkeypatch.setattr(worker.host.driver.power, "suspend", lambda server_id: (begun.set(), suspend(server_id)))
    with futures.ThreadPoolExecutor(1) as thread:
        thread.submit(worker.power.suspend, CTXT, server_id=worker.server_id, order=at(2))
        assert begun.wait(SOON_S)
        worker.power.reboot(CTXT, server_id=worker.server_id, order=at(3), reboot_type=RebootType.HARD)
    assert worker.listener.done[-1] == (worker.server_id, 3, Power.RUNNING)
    assert worker.host.driver.power.state(worker.server_id) is Power.RUNNING


@pytest.mark.timed
@pytest.mark.parametrize("begin", [soft_reboot, password], ids=["a soft reboot", "a password"])
def test_a_delete_wins_at_once(worker: Worker, begin: Callable[[Worker], Any]) -> None:
    with begin(worker) as future:
        began = time.monotonic()
        worker.build.destroy(CTXT, server_id=worker.server_id, order=at(1000))
        assert time.monotonic() - began < SOON_S
        assert isinstance(future.exception(timeout=SOON_S), errors.NovaLiteError | None)
    assert worker.host.driver.power.state(worker.server_id) is Power.NOSTATE
    assert worker.host.records.get(worker.server_id) is None


@pytest.mark.timed
@pytest.mark.parametrize("begin", [soft_reboot, password], ids=["a soft reboot", "a password"])
def test_a_soft_delete_wins_at_once(worker: Worker, begin: Callable[[Worker], Any]) -> None:
    with begin(worker):
        began = time.monotonic()
        worker.soft_delete.soft_delete(CTXT, server_id=worker.server_id, order=at(3))
        assert time.monotonic() - began < SOON_S
    assert worker.listener.done == [(worker.server_id, 3, Power.SHUTDOWN)]
    worker.soft_delete.restore(CTXT, server_id=worker.server_id, order=at(4))
    assert worker.host.driver.power.state(worker.server_id) is Power.RUNNING
