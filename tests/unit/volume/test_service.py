# SPDX-License-Identifier: Apache-2.0
"""The whole volume worker with simulated volumes over the in-process message bus."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.context import Context
from nova_lite.rpc import transport
from nova_lite.rpc.conductor import ConductorRpc, Outcome, PowerState, ServiceReport, StepReport
from nova_lite.rpc.interface import serve
from nova_lite.rpc.volume import Content, VolumeRpc
from nova_lite.volume.service import VolumeService
from tests.support.conductor import NotForCompute
from tests.support.rpc_threads import end_soon
from tests.support.wait import wait_until
from tests.unit.volume.conftest import VOLUME, at


@dataclasses.dataclass
class Conductor(NotForCompute):
    """What a real conductor's endpoints are given, kept for a test to look at."""

    reports: list[ServiceReport] = dataclasses.field(default_factory=list)
    steps: list[StepReport] = dataclasses.field(default_factory=list)

    def admit_worker(self, ctxt: Context, *, binary: str, agent: str, worker_id: str) -> None:
        assert binary == "nova-volume"

    def run(self, ctxt: Context, *, action_id: int) -> None:
        raise AssertionError("workers do not poll for work")

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self.steps.append(report)

    def power_changed(self, ctxt: Context, *, host: str, states: tuple[PowerState, ...]) -> None:
        raise AssertionError("a volume worker does not call this")

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        self.reports.append(status)


@dataclasses.dataclass
class Bus:
    conf: cfg.ConfigOpts
    conductor: Conductor
    service: VolumeService
    volumes: VolumeRpc


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    file = tmp_path / "nova.conf"
    file.write_text(
        f"[DEFAULT]\ntransport_url = inprocess://\nhost = node1\nstate_path = {tmp_path}\nenabled_backends = local,fast\n"
        "[compute]\ndriver = fake\n[backend_defaults]\nreserved_percentage = 5\n[fast]\nvolume_backend_name = ssd\nreserved_percentage = 9\n")
    conf = options.load([], files=[str(file)])
    wire = transport.connect(conf)
    conductor = Conductor()
    server = serve(ConductorRpc, wire, "conductor1", [conductor])
    end_soon()
    server.start()
    service = VolumeService(conf, wire)
    service.start()
    yield Bus(conf, conductor, service, VolumeRpc.client(wire, host="node1"))
    service.stop()
    server.stop()
    server.wait()
    wire.cleanup()


def test_a_worker_reports_the_pools_of_its_backends(bus: Bus) -> None:
    report = wait_until(lambda: bus.conductor.reports)[0]
    assert (report.binary, report.agent) == ("nova-volume", "node1")
    assert [(pool.backend, pool.pool, pool.reserved_percentage) for pool in report.pools] == [("local", "local", 5), ("fast", "ssd", 9)]
    assert report.pools[1].capabilities["storage_protocol"] == "fake"


def test_a_volume_is_made_by_a_cast_and_reported(bus: Bus) -> None:
    bus.volumes.create_volume(Context(), volume=VOLUME, order=at(1), content=Content())
    report = wait_until(lambda: bus.conductor.steps)[0]
    assert (report.resource_type, report.resource_id, report.outcome) == ("volume", VOLUME.volume_id, Outcome.DONE)
    owned = bus.volumes.owned_unless(Context(), digest="")
    assert owned.volume_ids == (VOLUME.volume_id,)
    assert bus.volumes.owned_unless(Context(), digest=owned.digest).is_as_expected
    assert bus.volumes.known_orders(Context(), orders=(at(1),)) == ()


def test_a_second_process_is_refused_the_state(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_lite.worker.state_lock.WAIT_S", 0.0)
    second = VolumeService(bus.conf, transport.connect(bus.conf))
    with pytest.raises(errors.StateInUse):
        second.start()


def test_a_section_of_a_backend_is_checked_when_options_are_loaded(tmp_path: Path) -> None:
    file = tmp_path / "nova.conf"
    file.write_text("[DEFAULT]\nenabled_backends = fast\n[fast]\nreserved_percentage = 101\n")
    with pytest.raises(cfg.Error, match="reserved_percentage"):
        options.load([], files=[str(file)])


def test_a_name_that_no_pool_can_have_is_no_backend(tmp_path: Path) -> None:
    file = tmp_path / "nova.conf"
    file.write_text("[DEFAULT]\nenabled_backends = fast@host\n")
    with pytest.raises(cfg.Error, match="enabled_backends"):
        options.load([], files=[str(file)])
