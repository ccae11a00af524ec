# SPDX-License-Identifier: Apache-2.0
"""A worker requests its host's name until a conductor answers; its id is the same after a restart."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterator
from pathlib import Path

import oslo_messaging as messaging
import pytest

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc.conductor import ConductorRpc
from nova_lite.rpc.interface import serve
from nova_lite.rpc.transport import connect
from nova_lite.worker import admission
from nova_lite.worker.admission import Admission
from tests.unit.compute.test_service import Conductor


@dataclasses.dataclass
class Refusing(Conductor):
    """Raises these, one at each request, and then admits every worker."""

    answers: list[Exception] = dataclasses.field(default_factory=list)
    requests: list[str] = dataclasses.field(default_factory=list)

    def admit_worker(self, ctxt: Context, *, binary: str, agent: str, worker_id: str) -> None:
        assert (binary, agent) == ("nova-compute", "node1")
        self.requests.append(worker_id)
        if self.answers:
            raise self.answers.pop(0)


@dataclasses.dataclass
class Bus:
    conductor: Refusing
    transport: messaging.transport.RPCTransport
    pauses: list[float] = dataclasses.field(default_factory=list)

    def admission(self, directory: Path) -> Admission:
        return Admission(self.transport, binary="nova-compute", host="node1", directory=directory, wait=self.pauses.append)


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    file = tmp_path / "nova.conf"
    file.write_text(f"[DEFAULT]\ntransport_url = inprocess:///{uuid.uuid4()}\n")
    transport = connect(options.load([], files=[str(file)]))
    server = serve(ConductorRpc, transport, "conductor1", [conductor := Refusing()])
    server.start()
    yield Bus(conductor, transport)
    server.stop()
    server.wait()
    transport.cleanup()


def test_it_waits_until_there_is_a_conductor_with_a_database(bus: Bus, tmp_path: Path) -> None:
    worker = bus.admission(tmp_path / "compute")
    bus.conductor.answers = [
        messaging.MessagingTimeout(), errors.Unavailable(reason="The database is busy"), messaging.MessageDeliveryFailure()]
    assert not worker.request()
    worker.obtain()
    worker.obtain()
    assert (len(bus.pauses), len(bus.conductor.requests)) == (2, 4)


def test_a_conductor_of_an_earlier_release_hinders_nobody(bus: Bus, tmp_path: Path) -> None:
    bus.conductor.answers = [messaging.UnsupportedVersion("1.7")]
    assert bus.admission(tmp_path).request()


def test_a_refused_worker_does_not_try_again(bus: Bus, tmp_path: Path) -> None:
    bus.conductor.answers = [errors.NameInUse(binary="nova-compute", host="node1", known="a", worker="b", seconds="60")]
    with pytest.raises(errors.NameInUse):
        bus.admission(tmp_path).obtain()
    assert not bus.pauses


def test_its_id_is_kept_with_its_state(bus: Bus, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for directory in (first, first, second):
        bus.admission(directory).obtain()
    admission.forget(first)
    bus.admission(first).obtain()
    ids = [uuid.UUID(worker_id) for worker_id in bus.conductor.requests]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
