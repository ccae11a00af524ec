# SPDX-License-Identifier: Apache-2.0
"""Real services run by hand, for machines without systemd: RabbitMQ, PostgreSQL, MariaDB, libvirt, whole hosts.

Standard library only, Python 3.11, Linux, root; install the programs by `tools/install --for test`. Each service
is a class:

    from tools.lib.services import Host, Libvirtd, MariaDB, Postgres, RabbitMQ, Switch

    with RabbitMQ(state / "rabbitmq") as broker, Postgres(state / "postgres") as database:
        transport_url = broker.url                          # rabbit://nova:…@127.0.0.1:24711/
        connection = database.create_database("nova")       # postgresql+psycopg2://nova:…@127.0.0.1:21044/nova

Rules that hold for all of them (`Service`):
- The directory passed in is the whole state: data, logs (`*.log`), kept ports and passwords (`settings.json`,
  0600), pids (`*.process`). A service made again with the same directory, also by another process, is the same
  service.
- `start()` returns when the real thing answers, does nothing when it already does, and on failure stops what
  it started and raises `ServiceError`, whose text ends with the last log lines. `stop()` ends what we started
  and keeps the data; `purge()` removes the directory too. `with` is start and stop. `is_ready()` queries the
  real thing.
- `kill9()` crashes it; `start()` after that is a restart on the same port with the same data.
- Ports are picked free once, unless given (`port=`); `address=` is where to listen and what URLs say,
  127.0.0.1 unless given.

Hosts: `Switch` is a bridge on this machine; each `Host` plugged in has its own network, mount and UTS
namespace, /run and libvirtd, and reaches the other hosts by their `tunnel_ip` and the machine by `switch.ip`:

    with Switch("nlsw", address="10.199.0.254/24") as switch:
        broker = RabbitMQ(state / "rabbitmq", address=switch.ip)        # the hosts can reach it
        host = Host("c1", state_dir=state / "c1", tunnel_ip="10.199.0.1", switch=switch)
        host.up()
        host.run(["virsh", "-c", host.uri, "list"]).stdout
        host.daemon("nova-compute").start(host.command(["/path/nova-compute", "--config-file", "/path"]))
        host.down()                                        # guests, daemons, mounts, wire, directory: gone

`Process(name, state_dir)` starts, finds again, crashes and ends one process by its pid, for daemons of our
own outside of hosts. `fix_kvm_device()` and `Libvirtd` make libvirt usable on the machine itself.

On the command line: `python3 -m tools.lib.services up rabbitmq postgres --state DIR` and `down --state DIR`.
"""

from tools.lib.services.errors import ServiceError
from tools.lib.services.host import Host
from tools.lib.services.libvirtd import Libvirtd, fix_kvm_device
from tools.lib.services.mariadb import MariaDB
from tools.lib.services.postgres import Postgres
from tools.lib.services.processes import Process
from tools.lib.services.rabbitmq import RabbitMQ, VirtualHost
from tools.lib.services.service import Service, free_port
from tools.lib.services.switch import Switch

__all__ = [
    "Host",
    "Libvirtd",
    "MariaDB",
    "Service",
    "ServiceError",
    "Postgres",
    "Process",
    "RabbitMQ",
    "Switch",
    "VirtualHost",
    "fix_kvm_device",
    "free_port",
]
