# SPDX-License-Identifier: Apache-2.0
"""The service answers its contract over the bus with the fake driver, and says that it lives."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite import errors
from nova_lite.context import Context, system_context
from nova_lite.network.service import NetworkService
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.rpc.network import Network, NetworkRpc, OwnedNetworks, Port, ServerPorts
from nova_lite.rpc.transport import connect
from tests.unit.compute.test_service import Conductor

NET = Network(id="n1", segment=1, mtu=1450, subnets=())


def ports(*, fence: int) -> ServerPorts:
    plug = Port(id="p1", network_id="n1", mac="fa:16:3e:00:00:01", addresses=("10.0.0.5",), hostname="h")
    return ServerPorts(server_id="b1", fence=fence, networks=(NET,), ports=(plug,), groups=(), documents={})


@pytest.fixture
def rpc(tmp_path: Path) -> Iterator[NetworkRpc]:
    """A client of a running service of the fake driver."""
    settings = tmp_path / "nova.conf"
    settings.write_text(
        f"[DEFAULT]\ntransport_url = inprocess:///{uuid.uuid4()}\nhost = node-{uuid.uuid4()}\n"
        f"state_path = {tmp_path}\n[network]\ndriver = fake\n"
    )
    conf = options.load([], conf=cfg.ConfigOpts(), files=[str(settings)])
    transport = connect(conf)
    conductor = serve(ConductorRpc, transport, "conductor1", [Conductor()])
    conductor.start()
    service = NetworkService(conf, transport)
    service.start()
    yield NetworkRpc.client(transport, host=conf.host)
    conf.set_override("state_path", str(tmp_path / "other"))
    with pytest.raises(errors.NameInUse, match="another nova-network serves host"):
        NetworkService(conf, transport).start()
    service.stop()
    conductor.stop()
    conductor.wait()
    transport.cleanup()


def test_what_was_prepared_is_owned_until_it_is_released(rpc: NetworkRpc) -> None:
    ctxt = system_context()

    rpc.prepare(ctxt, ports=ports(fence=1))
    rpc.prepare(ctxt, ports=ports(fence=1))
    assert rpc.owned(ctxt).server_ids == rpc.owned_among(ctxt, server_ids=("a1", "b1")) == ("b1",)
    assert rpc.owned_unless(ctxt, digest="") == rpc.owned(ctxt)
    assert rpc.owned_unless(ctxt, digest=rpc.owned(ctxt).digest) == OwnedNetworks(network_ids=("n1",), server_ids=(), is_as_expected=True)
    assert (rpc.audit_host(ctxt, after="").server_ids, rpc.audit_host(ctxt, after="b1").network_ids) == (("b1",), ("n1",))
    rpc.release(ctxt, server_id="b1", fence=2)

    assert rpc.owned(ctxt).server_ids == ()
    assert rpc.owned(ctxt).network_ids == ("n1",)


def test_a_late_prepare_comes_back_as_a_stale_request(rpc: NetworkRpc) -> None:
    rpc.release(system_context(), server_id="b1", fence=2)

    with pytest.raises(errors.StaleRequest):
        rpc.prepare(system_context(), ports=ports(fence=2))


class DeafConductor:
    """Fails at first, then counts what it hears."""

    def __init__(self) -> None:
        self.heard: list[ServiceReport] = []
        self.calls = 0
        self.enough = threading.Event()

    def report(self, ctxt: Context, *, status: ServiceReport) -> None:
        assert ctxt.is_admin
        self.calls += 1
        if self.calls == 1:
            raise ConnectionError
        self.heard.append(status)
        if len(self.heard) == 2:
            self.enough.set()


def test_a_heartbeat_goes_on_after_a_failure_and_ends_when_stopped() -> None:
    conductor, status = DeafConductor(), ServiceReport(binary="nova-network", agent="node1")
    heart = Heartbeat(conductor, lambda: status, interval_s=0.001)  # type: ignore[arg-type]

    heart.start()
    assert conductor.enough.wait(5)
    heart.stop()

    # What failed was not heard: the next one is the first.
    assert conductor.heard[:2] == [dataclasses.replace(status, is_first=True), status]
    assert not any(thread.name == "heartbeat" for thread in threading.enumerate())
