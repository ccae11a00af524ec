# SPDX-License-Identifier: Apache-2.0
"""A compute worker's operation in a process of its own, so that a test can have it killed: CONF build|destroy|recover GUEST."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from nova_lite import conf as options
from nova_lite.compute.host import Host
from nova_lite.compute.operations.build import Build
from nova_lite.compute.records import Records
from nova_lite.compute.recovery import Recovery
from nova_lite.compute.virt import drivers
from nova_lite.context import Context
from nova_lite.rpc import payload
from nova_lite.rpc.compute import Guest
from nova_lite.rpc.conductor import ConductorRpc, StepReport
from nova_lite.rpc.order import Order


class Silent(ConductorRpc):
    """A conductor that keeps nothing."""

    def report_step(self, ctxt: Context, *, report: StepReport) -> None:
        """The parent looks at the host itself."""


def main() -> int:
    """CONF build|destroy|recover GUEST; what it owns afterwards, on standard output."""
    file, what, guest_file = sys.argv[1:]
    conf = options.load([], files=[file])
    guest = payload.from_wire(Guest, json.loads(Path(guest_file).read_text()))
    driver = drivers.make(conf)
    directory = Path(conf.state_path) / "compute"
    directory.mkdir(parents=True, exist_ok=True)
    records = Records(directory, is_durable=True)
    records.load()
    host = Host(conf=conf, driver=driver, records=records, conductor=Silent())
    build = Build(host)
    recovery = Recovery(host, build, starts_guests=False)
    recovery.clean()
    driver.host.open(host.reports.see)
    recovery.run()
    if what == "build":
        build.build(Context(), order=Order(epoch=1, action=1), guest=guest)
    elif what == "destroy":
        build.destroy(Context(), server_id=guest.server_id, order=Order(epoch=1, action=2))
    sys.stdout.write(json.dumps({"owned": build.owned_unless(Context(), digest="").server_ids}))
    return 0
