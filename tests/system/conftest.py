# SPDX-License-Identifier: Apache-2.0
"""A host for the tests of the network worker, with a pair of guests on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.system.network_lab import OUT, Guest, Lab, group, network, port, running, server


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A host whose network worker runs."""
    with running(tmp_path) as made:
        yield made


@pytest.fixture
def pair(lab: Lab) -> tuple[Guest, Guest]:
    """Two guests of different servers in one network and group that lets everything out and nothing in."""
    net = network(1)
    ports = (port(1, net, "10.0.0.11", groups=(group(1).id,)), port(2, net, "10.0.0.12", groups=(group(1).id,)))
    for number, each in enumerate(ports, start=1):
        assert lab.request("prepare", server(number, net, each, groups=(group(1, OUT),))) is None
    guests = lab.plug("g1", ports[0]), lab.plug("g2", ports[1])
    for guest in guests:
        assert guest.dhcp()
    return guests
