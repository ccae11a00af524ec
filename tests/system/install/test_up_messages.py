# SPDX-License-Identifier: Apache-2.0
"""What `nova-lite up` says where something is in its way, or not as somebody may think."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.system.all_in_one import AllInOne
from tools.lib.daemons import environment
from tools.lib.services import free_port


def nova_lite(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-W", "ignore", "-m", "nova_lite.cmd.lite.main", *words],
                          capture_output=True, text=True, timeout=120, check=False, env=environment(), cwd=ROOT)


def refused(state: Path, *, listen: str, port: int) -> str:
    """What it says as it ends at once."""
    done = nova_lite("up", "--fake", "--state", str(state), "--listen", listen, "--port", str(port))
    assert done.returncode == 1, done.stderr
    return done.stderr.strip().splitlines()[-1]


def test_a_taken_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, listen="127.0.0.1", port=port)
    assert said == f"nova-lite: cannot listen on 127.0.0.1:{port}: Address already in use; choose another --port or --listen"


def test_a_taken_port_of_ipv6_is_named_as_in_urls(tmp_path: Path) -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as taken:
        port = taken.getsockname()[1]
        said = refused(tmp_path, listen="::1", port=port)
    assert said.startswith(f"nova-lite: cannot listen on [::1]:{port}: Address already in use")


def test_an_address_of_another_machine_is_named(tmp_path: Path) -> None:
    said = refused(tmp_path, listen="192.0.2.1", port=8774)  # RFC 5737: nobody's
    assert said == ("nova-lite: cannot listen on 192.0.2.1:8774: Cannot assign requested address; "
                    "choose another --port or --listen")


def test_notifications_that_nobody_would_hear_are_warned_of(tmp_path: Path) -> None:
    on = "[notifications]\nnotification_format = versioned\n[oslo_messaging_notifications]\ndriver = messagingv2\n"
    cloud = AllInOne(tmp_path, options=on)
    try:
        cloud.start()
    finally:
        cloud.stop()
    assert "notifications are enabled and dropped" in cloud.log.read_text()
    assert "set [oslo_messaging_notifications] transport_url" in cloud.log.read_text()


def test_others_cannot_read_the_log_though_qemus_user_passes_through_its_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    log = tmp_path / "nova-lite.log"
    log.write_text("of an earlier release\n")
    log.chmod(0o644)
    started = nova_lite("up", "--fake", "--background", "--state", str(tmp_path), "--port", str(free_port()))
    nova_lite("down", "--state", str(tmp_path))
    assert started.returncode == 0, started.stderr
    assert log.stat().st_mode & 0o777 == 0o600
