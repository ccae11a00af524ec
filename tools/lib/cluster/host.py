# SPDX-License-Identifier: Apache-2.0
"""One compute host of a cluster: namespaces with a libvirtd, and in them nova-network and nova-compute."""

from __future__ import annotations

from pathlib import Path

from tools.lib.cluster.settings import CONTROL, HostSettings
from tools.lib.daemons import environment, program
from tools.lib.services import Host, Process, RabbitMQ, Switch
from tools.lib.services.service import write_private

HANDS = ("nova-network", "nova-compute")
_PASTE = Path(__file__).resolve().parents[3] / "etc" / "api-paste.ini"


class ComputeHost:
    """It knows the broker, its own user there and its own key, and where it is itself; no database, no other key, no other password.

    The directory of the control plane is hidden from it: what runs inside sees an empty one.
    """

    def __init__(self, name: str, *, state: Path, settings: HostSettings, switch: Switch) -> None:
        self.name = name
        self.settings = settings
        self.directory = state / name
        self.real = Host(name, state_dir=self.directory, tunnel_ip=settings.address, switch=switch,
                         private=(str(state / CONTROL),))
        self.processes: dict[str, Process] = {hand: self.real.daemon(hand) for hand in HANDS}

    @property
    def nova_conf(self) -> Path:
        return self.directory / "nova.conf"

    @property
    def _rpc_key(self) -> Path:
        return self.directory / "rpc.key"

    def allow(self, broker: RabbitMQ) -> None:
        """Have the host's own user at the broker, which can be taken away without touching another's."""
        if self.name not in broker.ctl("list_users").split():
            broker.ctl("add_user", self.name, self.settings.password)
        broker.ctl("set_permissions", "-p", "/", self.name, ".*", ".*", ".*")

    def start_daemons(self, broker: RabbitMQ, *, rpc_key: str) -> None:
        """Start those that do not run; returns at once. `rpc_key`: the host's own, which commands no other host."""
        write_private(self._rpc_key, rpc_key)
        self._configure(broker)
        for name, process in self.processes.items():
            argv = [program(name), "--config-file", str(self.nova_conf)]
            process.start(self.real.command(argv), env=environment())

    def down(self) -> None:
        """End all that runs in it, and remove it; the daemons at once, since nothing that they know is kept."""
        for process in self.processes.values():
            process.crash()
        self.real.down()

    def _configure(self, broker: RabbitMQ) -> None:
        own = self.settings
        sections: dict[str, dict[str, object]] = {
            "DEFAULT": {
                "host": self.name, "my_ip": own.address, "state_path": self.directory / "state", "paste_config": _PASTE,
                "transport_url": f"rabbit://{self.name}:{own.password}@{broker.address}:{broker.port}/",
            },
            "network": {"tunnel_ip": own.address},
            "rpc": {"secret_file": self._rpc_key},
            # the hosts of one machine share its memory: each keeps nothing back for itself
            "compute": {"reserved_host_memory_mb": 0},
        }
        lines = [line for section, values in sections.items()
                 for line in (f"[{section}]", *(f"{name} = {value}" for name, value in values.items()), "")]
        write_private(self.nova_conf, "\n".join(lines))
