# SPDX-License-Identifier: Apache-2.0
"""What listens on this machine is named by an address that others reach, of either family."""

from __future__ import annotations

import json
import socket
import subprocess

import pytest
from oslo_config import cfg

from nova_lite.runtime import addresses, concurrency
from tests.support.options import defaults


def configured(**api: object) -> cfg.ConfigOpts:
    conf = defaults()
    for name, value in api.items():
        conf.set_override(name, value, group="api")
    return conf


@pytest.mark.parametrize(("api", "url"), [
    ({}, "http://127.0.0.1:8774"), ({"listen": "192.0.2.7", "port": 80}, "http://192.0.2.7:80"), ({"listen": "cloud.example"}, "http://cloud.example:8774"),
    ({"listen": "2001:db8::7"}, "http://[2001:db8::7]:8774"), ({"listen": "0.0.0.0", "public_url": "https://cloud"}, "https://cloud"),
    ({"public_url": "https://cloud/compute/"}, "https://cloud/compute"),
])
def test_the_url_of_the_api_is_the_configured_one(api: dict[str, object], url: str) -> None:
    assert addresses.api_url(configured(**api)) == url


@pytest.mark.parametrize("listen", ["0.0.0.0", "::"])
def test_on_all_addresses_it_is_my_ip(listen: str) -> None:
    conf = configured(listen=listen)
    conf.set_override("my_ip", "192.0.2.9")
    assert addresses.api_url(conf) == "http://192.0.2.9:8774"


def test_without_my_ip_it_is_the_address_towards_the_outside() -> None:
    route = subprocess.run(["ip", "-j", "route", "get", "192.0.2.1"], capture_output=True, text=True, check=False)
    expected = json.loads(route.stdout)[0]["prefsrc"] if route.returncode == 0 else "127.0.0.1"
    assert addresses.url_host(configured(), "0.0.0.0") == expected


@pytest.mark.parametrize(("host", "shown"), [("::1", "[::1]:8774"), ("192.0.2.1", "192.0.2.1:8774"), ("localhost", "localhost:8774")])
def test_messages_have_brackets_around_ipv6(host: str, shown: str) -> None:
    assert concurrency.at(host, 8774) == shown


@pytest.mark.parametrize(("listen", "clients"), [("127.0.0.1", ["127.0.0.1"]), ("::1", ["::1"]), ("::", ["::1", "127.0.0.1"]), ("localhost", ["127.0.0.1"])])
def test_clients_of_both_families_connect(listen: str, clients: list[str]) -> None:
    with concurrency.listen(listen, 0) as listener:
        for client in clients:
            socket.create_connection((client, listener.getsockname()[1]), timeout=5).close()
