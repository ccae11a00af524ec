# SPDX-License-Identifier: Apache-2.0
"""The whole compute worker with simulated guests over the in-process message bus."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.compute.service import ComputeService
from nova_lite.context import Context
from nova_lite.lifecycle.servers import Power
from nova_lite.rpc import transport
from nova_lite.rpc.compute import ComputeRpc, OwnedGuests
from nova_lite.rpc.conductor import ConductorRpc, Outcome, PowerState, ServiceReport, StepReport
from nova_lite.rpc.interface import serve
from tests.support.conductor import NotForCompute
from tests.support.options import defaults
from tests.support.wait import wait_until
from tests.unit.compute.conftest import SERVER, at, make_guest


@dataclasses.dataclass
class Conductor(NotForCompute):
    """What a real conductor's endpoints are given, kept for a test to look at."""

    reports: list[ServiceReport] = dataclasses.field(default_factory=list)
    steps: list[StepReport] = dataclasses.field(default_factory=list)
    news: threading.Event = dataclasses.field(default_factory=threading.Event)
    admitted: dict[tuple[str, str], str] = dataclasses.field(default_factory=dict)
    absences: list[errors.Unavailable] = dataclasses.field(default_factory=list)

    def admit_worker(self, ctxt: Context, *, binary: str, agent: str, worker_id: str) -> None:
        if self.absences:
            raise self.absences.pop()
        known = self.admitted.setdefault((binary, agent), worker_id)
        if known != worker_id:
            raise errors.NameInUse(binary=binary, host=agent, known=known, worker=worker_id, seconds="60")

    def run(self, ctxt: Context, *, action_id: int) -> None:
        raise AssertionError("workers do not poll for work")

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        self.steps.append(report)
        self.news.set()

    def power_changed(self, ctxt: Context, *, host: str, states: tuple[PowerState, ...]) -> None:
        """Not looked at here."""

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        self.reports.append(status)
        if sum(len(known.inventories) for known in self.reports) >= 3:
            self.news.set()


@dataclasses.dataclass
class Bus:
    conf: cfg.ConfigOpts
    conductor: Conductor
    service: ComputeService
    compute: ComputeRpc


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    file = tmp_path / "nova.conf"
    file.write_text(
        f"[DEFAULT]\ntransport_url = inprocess://\nhost = fakes\nstate_path = {tmp_path}\n"
        "[compute]\ndriver = fake\nfake_hosts = 3\n"
    )
    conf = options.load([], files=[str(file)])
    wire = transport.connect(conf)
    conductor = Conductor()
    server = serve(ConductorRpc, wire, "conductor1", [conductor])
    server.start()
    service = ComputeService(conf, wire)
    service.start()
    yield Bus(conf, conductor, service, ComputeRpc.client(wire, host="fakes"))
    service.stop()
    server.stop()
    server.wait()


def test_the_first_heartbeat_names_every_simulated_host(bus: Bus) -> None:
    assert bus.conductor.news.wait(10)
    names = [offer.host for report in bus.conductor.reports for offer in report.inventories]
    assert names[:3] == ["fakes-1", "fakes-2", "fakes-3"]


def build(bus: Bus, *, host: str) -> StepReport:
    """The report of a build on the host."""
    bus.compute.build(Context(), order=at(1), guest=make_guest(host=host))
    return reported(bus, 1)


def reported(bus: Bus, number: int) -> StepReport:
    """The report of action `number`."""
    wait_until(lambda: any(report.order == at(number) for report in bus.conductor.steps), "the report")
    return next(report for report in bus.conductor.steps if report.order == at(number))


def test_a_built_guest_can_be_stopped_and_the_outcome_arrives(bus: Bus) -> None:
    build(bus, host="fakes-2")
    bus.compute.stop(Context(), server_id=SERVER, order=at(7))
    report = reported(bus, 7)
    assert (report.outcome, report.power_state, report.host) == (Outcome.DONE, Power.SHUTDOWN, "fakes-2")


def test_an_unknown_host_is_refused_with_its_name(bus: Bus) -> None:
    report = build(bus, host="elsewhere")
    assert (report.outcome, "host elsewhere" in report.reason) == (Outcome.FAILED, True)


def test_the_console_carries_the_servers_name(bus: Bus) -> None:
    build(bus, host="fakes-1")
    assert bus.compute.console_output(Context(), server_id=SERVER, length=None).endswith("web login:\n")


def test_owned_lists_what_is_here(bus: Bus) -> None:
    build(bus, host="fakes-1")
    owned = bus.compute.owned_unless(Context(), digest="")
    assert owned.server_ids == (SERVER,)
    assert bus.compute.owned_unless(Context(), digest=owned.digest) == OwnedGuests(server_ids=(), is_as_expected=True)
    assert bus.compute.owned_among(Context(), server_ids=("another", SERVER)) == (SERVER,)
    assert bus.compute.audit_host(Context(), after="").server_ids == (SERVER,)
    assert bus.compute.audit_host(Context(), after=SERVER).server_ids == ()


def test_a_second_worker_of_the_same_host_does_not_start_beside_the_first(bus: Bus) -> None:
    """They would take its requests in turns, and each would have half of the guests."""
    with pytest.raises(errors.StateInUse):
        ComputeService(bus.conf, transport.connect(bus.conf)).start()


def test_a_worker_of_the_same_name_does_not_start_on_another_machine(bus: Bus, tmp_path: Path) -> None:
    """What it has on disk is as it was: it has not begun to look after guests."""
    bus.conf.set_override("state_path", str(tmp_path / "other"))
    with pytest.raises(errors.NameInUse, match=r"serves host fakes: .*\[DEFAULT\] host of its own"):
        ComputeService(bus.conf, transport.connect(bus.conf)).start()
    assert {path.name for path in (tmp_path / "other" / "compute").iterdir()} <= {"destroyed", "guests", "host", "lock", "worker"}


@pytest.mark.parametrize("absences", [0, 1], ids=["before it recovers", "when it has recovered"])
def test_a_worker_that_does_not_start_leaves_its_state_and_no_thread(bus: Bus, tmp_path: Path, absences: int) -> None:
    """In the same process the next try is refused for the same reason, and not because the first one still had the state."""
    bus.conf.set_override("state_path", str(tmp_path / "other"))
    for _ in range(2):
        bus.conductor.absences = [errors.Unavailable(reason="it restarts")] * absences
        worker = ComputeService(bus.conf, transport.connect(bus.conf))
        worker._admission._wait = lambda seconds: None
        with pytest.raises(errors.NameInUse):
            worker.start()
        names = [thread.name for thread in threading.enumerate()]
        assert (names.count("compute-housekeeper"), names.count("power-reports")) == (1, 1), "of the one that serves"


def test_a_worker_is_the_same_after_a_restart(bus: Bus) -> None:
    bus.service.stop()
    again = ComputeService(bus.conf, transport.connect(bus.conf))
    again.start()
    again.stop()


def test_a_worker_with_another_name_does_not_start_on_the_guests_of_a_host(bus: Bus) -> None:
    build(bus, host="fakes-1")
    renamed = defaults()
    renamed.set_override("state_path", bus.conf.state_path)
    renamed.set_override("host", "others")
    renamed.set_override("driver", "fake", group="compute")
    bus.service.stop()
    with pytest.raises(errors.WrongHost, match=r"by host fakes, and this host is called others: set \[DEFAULT\] host = fakes"):
        ComputeService(renamed, transport.connect(bus.conf)).start()
