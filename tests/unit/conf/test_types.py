# SPDX-License-Identifier: Apache-2.0
"""Values of options that are refused when the file is read, with the option's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from oslo_config import cfg

from nova_lite import conf as options


def load(directory: Path, section: str, line: str) -> cfg.ConfigOpts:
    file = directory / "nova.conf"
    file.write_text(f"[{section}]\n{line}\n")
    return options.load([], conf=cfg.ConfigOpts(), files=[str(file)])


@pytest.mark.parametrize(("section", "line"), [
    ("network", "tunnel_ip = 192.0.2.1"), ("network", "tunnel_ip ="), ("network", "transit_cidr = 100.64.0.0/12"),
    ("network", "dns_servers = 192.0.2.1,192.0.2.2"), ("network", "dns_servers ="), ("api", "public_url = https://cloud.example:8774"),
    ("api", "public_url ="), ("api", "listen = cloud.example"), ("api", "listen = 0.0.0.0"), ("api", "listen = ::1"), ("vnc", "novncproxy_base_url = http://[::1]/vnc.html"),
    ("serial_console", "base_url = wss://cloud.example/serial/"), ("keystone", "auth_url = http://keystone:5000/v3"),
])
def test_a_valid_value_is_read(tmp_path: Path, section: str, line: str) -> None:
    name, _, text = line.partition(" =")
    value = load(tmp_path, section, line)[section][name]
    assert (",".join(value) if isinstance(value, list) else value) == text.strip()


@pytest.mark.parametrize(("section", "line"), [
    ("network", "tunnel_ip = 192.0.2.256"), ("network", "tunnel_ip = fd00::1"), ("network", "tunnel_ip = host1"),
    ("network", "transit_cidr = 100.64.0.1/16"), ("network", "transit_cidr ="), ("network", "auto_cidr = fd00::/64"),
    ("network", "dns_servers = 192.0.2.1,resolver"), ("network", "mtu = 575"), ("api", "public_url = cloud.example:8774"),
    ("api", "public_url = ftp://cloud.example"), ("api", "public_url = https://"), ("api", "listen = no host"), ("DEFAULT", "my_ip = ::1"), ("api", "port = 65536"),
    ("serial_console", "base_url = https://cloud.example/"), ("keystone", "auth_url = keystone:5000/v3"),
    ("scheduler", "cpu_allocation_ratio = 0"), ("compute", "driver = xen"), ("quota", "instances = -2"),
])
def test_an_invalid_value_is_refused_with_the_options_name(tmp_path: Path, section: str, line: str) -> None:
    name = line.partition(" ")[0]
    with pytest.raises(cfg.ConfigFileValueError, match=name):
        load(tmp_path, section, line)
