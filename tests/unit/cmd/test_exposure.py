# SPDX-License-Identifier: Apache-2.0
"""`nova-lite doctor` says what is open to others, of each thing that may be."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from oslo_config import cfg

from nova_lite import conf as options
from nova_lite.cmd.lite.diagnosis import exposure
from nova_lite.cmd.lite.diagnosis.finding import Finding, Result
from tests.support.paths import ROOT

OK, NOTE, PROBLEM = Result.OK, Result.NOTE, Result.PROBLEM
BUS = "transport_url = rabbit://nova:f00d@127.0.0.1:5672/"


def configured(directory: Path, *lines: str, mode: int = 0o640) -> cfg.ConfigOpts:
    """nova.conf with the lines, which begin in [DEFAULT]."""
    file = directory / "nova.conf"
    file.write_text("\n".join(["[DEFAULT]", "host = h1", *lines]) + "\n")
    file.chmod(mode)
    return options.load(["--config-file", str(file)], conf=cfg.ConfigOpts(), files=None)


def shown(found: Finding) -> tuple[Result, bool]:
    """The result, and whether something is to be done."""
    return found.result, bool(found.remedy)


@pytest.mark.parametrize(("line", "mode", "result"), [
    (BUS, 0o644, PROBLEM), (BUS, 0o640, OK), ("", 0o644, OK), ("[database]\nconnection = mysql+pymysql://nova:f00d@127.0.0.1/nova", 0o644, PROBLEM),
    ("[database]\nconnection = sqlite:////tmp/x", 0o644, OK)])
def test_a_configuration_file_with_passwords_is_for_its_owner(tmp_path: Path, line: str, mode: int, result: Result) -> None:
    found = exposure.check_configuration_files(configured(tmp_path, line, mode=mode))
    assert found.result is result
    assert (str(tmp_path / "nova.conf") in found.remedy) is (result is PROBLEM)


@pytest.mark.parametrize(("mode", "result"), [(0o644, PROBLEM), (0o600, OK)])
def test_so_is_the_file_of_the_secret(tmp_path: Path, mode: int, result: Result) -> None:
    (tmp_path / "key").write_text("a" * 64)
    (tmp_path / "key").chmod(mode)
    assert exposure.check_configuration_files(configured(tmp_path, f"[rpc]\nsecret_file = {tmp_path}/key")).result is result


@pytest.mark.parametrize(("line", "named"), [
    ("transport_url = rabbit://guest:guest@h:5672/", "message bus as guest"), ("transport_url = rabbit://nova:nova@h/", "message bus as nova"),
    ("transport_url = rabbit://h/", "message bus as nobody"), ("transport_url = rabbit://stack:stack@h/", "message bus as stack"),
    ("transport_url = rabbit://a:f00d@h1,b:PASSWORD@h2/", "message bus as b"),
    ("[database]\nconnection = postgresql+psycopg2://nova:nova@h/nova", "database as nova"),
    ("[database]\nconnection = mysql+pymysql://root@h/nova", "database as root"),
])
def test_a_password_that_anybody_would_try_is_a_problem(tmp_path: Path, line: str, named: str) -> None:
    found = exposure.check_passwords(configured(tmp_path, line))
    assert shown(found) == (PROBLEM, True)
    assert named in found.reason


@pytest.mark.parametrize("line", ["", BUS, "[database]\nconnection = sqlite:////tmp/x", "[database]\nconnection = mysql+pymysql://nova:f00d@h/nova"])
def test_other_passwords_are_good(tmp_path: Path, line: str) -> None:
    assert exposure.check_passwords(configured(tmp_path, line)).result is OK


def test_the_sample_has_no_password_that_works_and_listens_on_loopback_alone() -> None:
    sample = options.load(["--config-file", str(ROOT / "etc" / "nova.conf")], conf=cfg.ConfigOpts(), files=None)
    found = exposure.check_passwords(sample)
    assert found.result is PROBLEM
    assert "message bus as nova, database as nova" in found.reason
    assert exposure.check_api_exposure(sample).result is OK
    assert sample.rpc.secret_file
    assert {broker.hostname for broker, _ in exposure._brokers(sample)} == {"127.0.0.1"}


@pytest.mark.parametrize(("lines", "key", "expected"), [
    ((), "", (OK, False)), ((BUS,), "", (NOTE, True)), ((BUS, "[rpc]", "secret_file = {key}"), "a" * 64, (OK, False)),
    ((BUS, "[rpc]", "secret_file = {key}"), "h1:" + "a" * 64, (OK, False)), ((BUS, "[rpc]", "secret_file = {key}"), "h2:" + "a" * 64, (PROBLEM, True)),
    ((BUS, "[rpc]", "secret_file = {key}"), "short", (PROBLEM, True)), ((BUS, "[rpc]", "secret_file = {key}"), "", (PROBLEM, True)),
    ((BUS, "[rpc]", "secret_file = {key}", "allow_unsigned = true"), "a" * 64, (NOTE, True)),
])
def test_a_message_bus_without_signatures_is_noted(tmp_path: Path, lines: tuple[str, ...], key: str, expected: tuple[Result, bool]) -> None:
    if key:
        (tmp_path / "key").write_text(key)
    conf = configured(tmp_path, *(line.format(key=tmp_path / "key") for line in lines))
    assert shown(exposure.check_message_bus(conf)) == expected


@pytest.mark.parametrize(("family", "address", "is_exposed"), [
    (socket.AF_INET, "0.0.0.0", True), (socket.AF_INET, "127.0.0.1", False), (socket.AF_INET6, "::", True), (socket.AF_INET6, "::1", False)])
@pytest.mark.parametrize("line", ["transport_url = rabbit://nova:f00d@127.0.0.1:{port}/", "[database]\nconnection = mysql+pymysql://n:f@127.0.0.1:{port}/nova"])
def test_a_broker_and_a_database_on_all_addresses_are_noted(tmp_path: Path, family: int, address: str, is_exposed: bool, line: str) -> None:
    with socket.socket(family) as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        found = exposure.check_listeners(configured(tmp_path, line.format(port=port)))
        assert (f"TCP port {port}" in found.reason) is is_exposed
        assert (found.result is NOTE) or not is_exposed
    assert f"TCP port {port}" not in exposure.check_listeners(configured(tmp_path, line.format(port=port))).reason


@pytest.mark.parametrize(("lines", "named"), [
    (("[api]", "listen = 127.0.0.1"), ""), (("[api]", "listen = 192.0.2.1"), "API on 192.0.2.1"), (("[api]", "listen = localhost"), ""),
    (("[api]", "listen = ::1"), ""), (("[api]", "listen = ::"), "API on ::"), (("[api]", "listen = cloud.example"), "API on cloud.example"),
    (("[api]", "listen = 0.0.0.0"), "API on 0.0.0.0"),
    (("[api]", "listen = 0.0.0.0", "public_url = http://cloud.example"), "API on 0.0.0.0"),
    (("[api]", "listen = 192.0.2.1", "public_url = https://cloud.example"), ""),
    (("[vnc]", "novncproxy_host = 0.0.0.0"), "novncproxy on 0.0.0.0"),
    (("[serial_console]", "serialproxy_host = 0.0.0.0"), "serialproxy on 0.0.0.0"),
    (("[serial_console]", "serialproxy_host = 0.0.0.0", "base_url = wss://cloud.example/"), ""),
    (("concurrency = eventlet", "[api]", "listen = 192.0.2.1", "public_url = https://cloud.example"), "no bounds on connections"),
])
def test_an_api_that_is_open_to_readers_or_slow_senders_is_noted(tmp_path: Path, lines: tuple[str, ...], named: str) -> None:
    found = exposure.check_api_exposure(configured(tmp_path, *lines))
    assert shown(found) == ((NOTE, True) if named else (OK, False))
    assert named in found.reason


@pytest.mark.parametrize(("lines", "result"), [
    ((), OK), (("[network]", "guests_reach_host = true"), NOTE), (("my_ip = 10.0.0.7",), PROBLEM), (("my_ip = 192.0.2.7",), OK), (("my_ip = compute1.example",), OK),
    (("my_ip = compute1.example", "[network]", "tunnel_ip = 192.0.2.1", "protected_cidrs = 0.0.0.0/0"), OK),
    (("[network]", "tunnel_ip = 100.64.3.1"), PROBLEM), (("[network]", "tunnel_ip = 192.0.2.1", "protected_cidrs = 0.0.0.0/0"), OK),
    (("[network]", "tunnel_ip = 9.9.9.9", "protected_cidrs = 0.0.0.0/0"), NOTE)])
def test_what_guests_reach_of_the_cloud_is_named(tmp_path: Path, lines: tuple[str, ...], result: Result) -> None:
    assert exposure.check_guests(configured(tmp_path, *lines)).result is result


def test_an_address_of_this_machine_that_no_host_protects_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ip").write_text("""#!/bin/sh
echo '[{"ifname": "lo", "addr_info": [{"local": "127.0.0.1"}]}, {"ifname": "eth1", "addr_info": [{"local": "198.51.100.4"}]},
 {"ifname": "eth0", "addr_info": [{"local": "192.0.2.1"}]}, {"ifname": "br-0000000e-00", "addr_info": [{"local": "100.64.0.0"}]}]'
""")
    (tmp_path / "ip").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = exposure.check_guests(configured(tmp_path, "[network]", "tunnel_ip = 192.0.2.1"))
    assert (found.result, found.reason) == (NOTE, "guests on other hosts reach this machine at 198.51.100.4 (eth1)")


@pytest.mark.parametrize(("settings", "result"), [
    ({"all/rp_filter": 0, "default/rp_filter": 0}, NOTE), ({"all/rp_filter": 2, "default/rp_filter": 0}, OK), ({"default/rp_filter": 1}, OK),
    ({"all/rp_filter": 1, "all/route_localnet": 1}, PROBLEM)])
def test_what_the_kernel_takes_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], result: Result) -> None:
    for name, value in settings.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    monkeypatch.setattr(exposure, "_KERNEL", tmp_path)
    assert exposure.check_kernel(cfg.ConfigOpts()).result is result
