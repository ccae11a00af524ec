# SPDX-License-Identifier: Apache-2.0
"""What a real guest reads and posts: files, tags, passwords by its config drive, and the one that it posts."""

from __future__ import annotations

import base64
import hashlib
import os
import re
from collections.abc import Iterator

import pytest

from tests.support.guests import guest_image
from tests.support.system.all_in_one import AllInOne
from tests.support.system.own_host import cloud_of_real_guests

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="real guests need root")
WORDS = b"what the user gave\n"
# Its output is on the console. The service is called by hand: busybox's wget does not show a refusal's status.
REPORT = base64.b64encode(b"""#!/bin/sh
post() { printf 'POST /openstack/latest/password HTTP/1.0\\r\\nContent-Length: 8\\r\\n\\r\\nc2VjcmV0' | nc 169.254.169.254 80 | head -n 1; }
echo "FIRST $(post)"
echo "SECOND $(post)"
wget -q -O /run/said http://169.254.169.254/openstack/latest/meta_data.json
grep -o '"tags": .*"front"' /run/said
grep -q '"admin_pass": "of-Create/1"' /config-drive/openstack/latest/meta_data.json && echo THE DRIVE HAS IT
grep -q '"uuid"' /run/said && ! grep -q admin_pass /run/said && echo THE SERVICE DOES NOT
PLACE=$(basename "$(readlink -f /sys/class/net/eth0/device/..)")
grep -q "\\"bus\\": \\"pci\\", \\"address\\": \\"$PLACE\\"" /config-drive/openstack/latest/meta_data.json && echo THE DRIVE PLACES IT
grep -q "\\"bus\\": \\"pci\\", \\"address\\": \\"$PLACE\\"" /run/said && echo THE SERVICE PLACES IT
grep -q '^root:[$]6' /etc/shadow && echo ROOT HAS A PASSWORD
""").decode()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AllInOne]:
    with cloud_of_real_guests(tmp_path_factory.mktemp("inside")) as made:
        yield made


@pytest.fixture(scope="module")
def server_id(cloud: AllInOne, tmp_path_factory: pytest.TempPathFactory) -> str:
    image = cloud.make_image(guest_image(tmp_path_factory), "qcow2")
    network = cloud.make_network("inside", "10.85.0.0/24")
    given = [{"path": "/etc/given", "contents": base64.b64encode(WORDS).decode()}]
    cloud.request("POST", "/v2.1/flavors", {"flavor": {"id": "78", "name": "inside", "ram": 128, "vcpus": 1, "disk": 1}})
    params = {"name": "inside", "imageRef": image, "flavorRef": "78", "networks": [{"uuid": network, "tag": "front"}],
             "config_drive": True, "adminPass": "of-Create/1", "personality": given, "user_data": REPORT}
    made = str(cloud.request("POST", "/v2.1/servers", {"server": params}, version="2.42")["server"]["id"])
    cloud.wait_for_status(made, "ACTIVE")
    return made


@pytest.mark.parametrize("text", [
    f"FILE /etc/given {hashlib.sha256(WORDS).hexdigest()}", "FIRST HTTP/1.[01] 200", "SECOND HTTP/1.[01] 409",
    '"tags": ."front"', "THE DRIVE HAS IT", "THE SERVICE DOES NOT", "THE DRIVE PLACES IT",
    "THE SERVICE PLACES IT", "ROOT HAS A PASSWORD"])
def test_the_guest_says(cloud: AllInOne, server_id: str, text: str) -> None:
    def output() -> str:
        return str(cloud.request("POST", f"/v2.1/servers/{server_id}/action", {"os-getConsoleOutput": {}})["output"])

    try:
        cloud.wait(lambda: re.search(text, output()) is not None, f"the guest to say {text}", seconds=180)
    except AssertionError:
        raise AssertionError(f"the guest never said {text}, but {output()[-3000:]}") from None


def test_its_owner_reads_what_it_posted_and_may_clear_the_way_for_another(cloud: AllInOne, server_id: str) -> None:
    path = f"/v2.1/servers/{server_id}/os-server-password"
    cloud.wait(lambda: cloud.request("GET", path)["password"] == "c2VjcmV0", "the password that was posted", seconds=90)
    cloud.request("DELETE", path)
    assert cloud.request("GET", path) == {"password": ""}
