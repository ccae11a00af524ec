# SPDX-License-Identifier: Apache-2.0
"""A compute worker's parts on the fake driver, with a conductor that only listens."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite.compute.host import Host
from nova_lite.compute.operations.build import Build
from nova_lite.compute.operations.power import Power
from nova_lite.compute.records import Records
from nova_lite.compute.virt.fake.driver import FakeDriver
from nova_lite.context import Context
from nova_lite.rpc.compute import Guest, Image
from nova_lite.rpc.conductor import ConductorRpc, Outcome, PowerState, ServiceReport, StepReport
from nova_lite.rpc.order import Order
from nova_lite.values import guest_disk
from tests.support.options import defaults

SERVER = "6c9b1a52-0000-4000-8000-000000000001"


@dataclasses.dataclass
class Listener(ConductorRpc):
    """A conductor that writes down what workers report."""

    done: list[tuple[str, int, int | None]] = dataclasses.field(default_factory=list)
    failed: list[tuple[str, int, str]] = dataclasses.field(default_factory=list)
    stale: list[StepReport] = dataclasses.field(default_factory=list)
    powers: list[tuple[str, tuple[PowerState, ...]]] = dataclasses.field(default_factory=list)

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        if report.outcome is Outcome.DONE:
            self.done.append((report.resource_id, report.order.action, report.power_state))
        elif report.outcome is Outcome.FAILED:
            self.failed.append((report.resource_id, report.order.action, report.reason))
        else:
            self.stale.append(report)

    def power_changed(self, ctxt: Context, *, host: str, states: tuple[PowerState, ...]) -> None:
        self.powers.append((host, states))

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        """Heartbeats are not looked at here."""


@dataclasses.dataclass
class Worker:
    """All parts of one compute worker, as a test handles them."""

    conf: cfg.ConfigOpts
    driver: FakeDriver
    records: Records
    listener: Listener
    host: Host
    build: Build
    power: Power
    ctxt: Context = dataclasses.field(default_factory=Context)


def make_worker(directory: Path) -> Worker:
    """A worker whose records are under `directory`; made again there, it is the same after a crash."""
    conf = defaults()
    conf.set_override("host", "node1")
    driver = FakeDriver(conf)
    records = Records(directory, is_durable=False)
    directory.mkdir(exist_ok=True)
    records.load()
    listener = Listener()
    host = Host(conf=conf, driver=driver, records=records, conductor=listener)
    driver.host.open(host.reports.see)
    return Worker(
        conf=conf, driver=driver, records=records, listener=listener, host=host, build=Build(host), power=Power(host)
    )


def at(number: int) -> Order:
    """The order of action `number`."""
    return Order(epoch=1, action=number, nonce=f"nonce-{number}")


def make_guest(*, server_id: str = SERVER, **changes: object) -> Guest:
    """A small guest on host node1."""
    image = Image(
        id="11111111-0000-4000-8000-000000000001", disk_format="qcow2", size=0, hash_algo="sha512", checksum="",
        url="http://127.0.0.1:1/", token="secret", properties={},
    )
    guest = Guest(
        server_id=server_id, host="node1", instance_name="instance-00000001", display_name="web",
        hostname="web", vcpus=1, ram_mb=128, disks=guest_disk.of_flavor(root_gb=1, ephemeral_gb=0, swap_mb=0), image=image, nics=(),
        config_drive=True, documents={"openstack/latest/meta_data.json": "{}"}, extra_specs={}, project_id="p",
        user_id="u",
    )
    return dataclasses.replace(guest, **changes)  # type: ignore[arg-type]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    return make_worker(tmp_path / "state")
