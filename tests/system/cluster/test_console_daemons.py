# SPDX-License-Identifier: Apache-2.0
"""The console proxies as daemons of their own, beside RabbitMQ and PostgreSQL: tokens travel by the database alone."""

from __future__ import annotations

import signal
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.support.system import forks
from tests.support.system.all_in_one import AllInOne
from tests.support.system.daemons import running
from tests.support.wait import wait_until
from tools.lib.daemons import environment
from tools.lib.services import free_port


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[AllInOne]:
    tmp_path.chmod(0o755)  # PostgreSQL and RabbitMQ run as users of their own
    ports = {"vnc": {"novncproxy_port": free_port()}, "serial_console": {"serialproxy_port": free_port()}}
    with running(tmp_path / "cloud", hosts=1, options=ports) as daemons, open(tmp_path / "proxies.log", "ab") as log:
        proxies = [forks.start(name, ["--config-file", str(daemons.nova_conf)], environment=environment(), log=log)
                   for name in ("nova-novncproxy", "nova-serialproxy")]
        try:
            client = AllInOne(tmp_path)
            client.url, client.state = daemons.url, daemons.state_dir / "state"
            client.log_in()
            yield client
        finally:
            for proxy in proxies:
                proxy.send_signal(signal.SIGTERM)
            codes = [proxy.wait(10) for proxy in proxies]
    assert codes == [0, 0]


def opened(url: str) -> ClientConnection:
    parts = urllib.parse.urlsplit(url)
    query = urllib.parse.parse_qs(parts.query)
    token = query["token"][0] if "token" in query else query["path"][0].removeprefix("?token=")

    def connection() -> ClientConnection | None:
        try:
            return connect(f"ws://{parts.netloc}/?token={token}", proxy=None, open_timeout=20)
        except ConnectionRefusedError:  # a proxy that was started last may not listen yet
            return None

    opened_one = wait_until(connection, "the proxy to listen")
    assert opened_one is not None
    return opened_one


def test_consoles_open_through_daemons_and_close_with_the_server(cloud: AllInOne) -> None:
    image = cloud.directory / "img.raw"
    image.write_bytes(bytes(1 << 16))
    server = cloud.boot("vm", image=cloud.make_image(image, "raw"), network=cloud.make_network("n", "10.9.0.0/24"))
    cloud.wait_for_status(server, "ACTIVE")
    urls = [str(cloud.request("POST", f"/v2.1/servers/{server}/remote-consoles", {
        "remote_console": {"protocol": protocol, "type": kind}})["remote_console"]["url"])
        for protocol, kind in (("vnc", "novnc"), ("serial", "serial"))]
    with opened(urls[0]) as screen:
        assert screen.recv(20) == b"RFB 003.008\n"
    with opened(urls[1]) as line:
        assert line.recv(20) == b"\r\nvm login: "
    cloud.request("DELETE", f"/v2.1/servers/{server}")
    cloud.wait_for_status(server, "GONE")
    for url in urls:
        with pytest.raises(InvalidStatus, match="403"):
            opened(url)
