# SPDX-License-Identifier: Apache-2.0
"""RPC contracts: published payloads and signatures change only with their versions."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import pytest

from nova_lite.rpc import api, compute, conductor, network, payload, scheduler
from nova_lite.rpc.interface import Interface

INTERFACES: tuple[type[Interface], ...] = (
    api.ApiRpc, compute.ComputeRpc, conductor.ConductorRpc, network.NetworkRpc, scheduler.SchedulerRpc)
RECORD = Path(__file__).with_name("contracts.json")


def current() -> dict[str, Any]:
    """What is declared now, as contracts.json records it."""
    return {
        "payloads": {name: [cls.payload_version, payload.fingerprint(cls)]  # type: ignore[attr-defined]
                     for name, cls in sorted(payload.REGISTRY.items())},
        "methods": {f"{interface.topic}.{name}": [method.rpc_contract.since, str(inspect.signature(method))]  # type: ignore[attr-defined]
                    for interface in INTERFACES for name, method in sorted(interface.methods().items())},
    }


def test_contracts_are_as_recorded() -> None:
    """After a deliberate change: bump the payload's version or add a method, then `python -m tests.arch.test_contracts`."""
    recorded = json.loads(RECORD.read_text())
    now = json.loads(json.dumps(current()))
    for name, (version, print_) in recorded["payloads"].items():
        assert name in now["payloads"], f"payload {name} is gone: an older daemon still sends it"
        if now["payloads"][name][1] != print_:
            assert now["payloads"][name][0] > version, f"payload {name} changed: bump its version"
    for name, signature in recorded["methods"].items():
        assert now["methods"].get(name) == signature, f"method {name} is published and frozen: add a new one"
    assert now == recorded, "record the new contracts: python -m tests.arch.test_contracts"


@pytest.mark.parametrize("interface", INTERFACES)
def test_every_method_says_what_it_does_and_is_in_its_version(interface: type[Interface]) -> None:
    for name, method in interface.methods().items():
        assert method.__doc__, name
        since = method.rpc_contract.since  # type: ignore[attr-defined]
        assert [int(part) for part in since.split(".")] <= [int(part) for part in interface.version.split(".")]


def test_payloads_survive_the_wire() -> None:
    guest = network.ServerPorts(
        server_id="s", fence=1, documents={"a": "b"}, groups=(),
        networks=(network.Network(id="n", segment=5, mtu=1450, subnets=(network.Subnet(id="x", cidr="c", gateway=None),)),),
        ports=(network.Port(id="p", network_id="n", mac="m", addresses=("1.2.3.4",), hostname="h"),))
    assert payload.from_wire(network.ServerPorts, json.loads(json.dumps(payload.to_wire(guest)))) == guest


if __name__ == "__main__":
    RECORD.write_text(json.dumps(current(), indent=1, sort_keys=True) + "\n")
