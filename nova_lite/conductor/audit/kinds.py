# SPDX-License-Identifier: Apache-2.0
"""What an audit can find between rows and hosts, and on hosts: each kind with what repairs it, or what the operator can do."""

from __future__ import annotations

import dataclasses

from nova_lite.conductor.engine.workflow import COMPUTE, NETWORK
from nova_lite.rpc.audit import AuditFinding, AuditReport


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of disagreement. `repair`: the reconciler that repairs it, or else what the operator can do."""

    name: str
    repair: str
    is_repairable: bool

    def found(self, resource: str, problem: str, *, host: str = "") -> AuditFinding:
        """A finding of this kind."""
        return AuditFinding(kind=self.name, resource=resource, host=host, problem=problem, repair=self.repair,
                            is_repairable=self.is_repairable)


def _repaired(name: str, by: str) -> Kind:
    return Kind(name, by, is_repairable=True)


def _reported(name: str, advice: str) -> Kind:
    return Kind(name, advice, is_repairable=False)


_FREED = "openstack server set --state active SERVER frees it; then delete it, or repeat what it was doing"

# Claims.
CLAIM_SUMS = _repaired("claim_sums", "claims_audit sets the host's sums to what its claims add up to")
CLAIM_WITHOUT_SERVER = _repaired("claim_without_server", "orphans gives the claim back")
SERVER_WITHOUT_CLAIM = _reported("server_without_claim", "shelve and unshelve the server: it claims its resources anew")
CLAIM_SIZE = _reported("claim_size", "resize the server, or shelve and unshelve it: it claims what it takes")

# Guests and networks on hosts.
LEFT_OVER = _repaired("left_over", "orphans removes it from the host")
UNKNOWN_SERVER = _reported(
    "unknown_server", "nothing is removed that this database does not know. Is it the right database, and was it restored? Else save the "
    "server's disks ([compute] instances_path/ID), end it with virsh destroy and undefine, and remove its records in state_path")
MISPLACED = _reported(
    "misplaced", "the host that the rows name must have it, or answer, before this one's is removed: bring that host back")
GUEST_MISSING = _reported(
    "guest_missing", "its disks are not on that host. Delete the server, or restore the host's state_path and instances_path")
NETWORK_MISSING = _reported("network_missing", "shelve and unshelve the server: its network is made anew")
POWER = _reported("power", "nova-compute reports it again within [compute] sync_power_state_interval; else restart nova-compute on that host")
NETWORK_WITHOUT_ROW = _repaired("network_without_row", "orphans removes the network from the host")
FLOATING_IP_ON_HOST = _repaired("floating_ip_on_host", "orphans has the host read the server's ports again")
FORWARDING_BEHIND = _repaired("forwarding_behind", "network_resync has the host fetch where the network's ports are")
NOT_CHECKED = _reported(
    "not_checked", "start the worker, or upgrade it; if the host is gone for good: openstack compute service delete")

# Ports and addresses.
PORT_OWNER = _reported("port_of_nothing", "openstack port delete PORT")
PORT_BINDING = _reported("port_binding", "detach the interface and attach the port again, or shelve and unshelve the server")
ADDRESS_TWICE = _reported("address_twice", "give one of the ports another address: openstack port set --no-fixed-ip --fixed-ip …")
FLOATING_IP_TARGET = _reported("floating_ip_target", "openstack floating ip unset --port FLOATING-IP, then associate it again")
NETWORK_CHANGE = _repaired("network_change_unsent", "network_sync sends it to the hosts")

# Actions.
ACTION_LATE = _repaired("action_late", f"stalled_actions ends it. If it stays: {_FREED}")
ACTION_ABANDONED = _repaired("action_abandoned", "stalled_actions has a conductor take it up")
ACTION_WAITING = _repaired("action_waiting", "deferred_deletes begins it")
TASK_WITHOUT_ACTION = _reported("task_without_action", _FREED)

# On hosts, by binary: what workers find themselves (compute/audit.py, network/linux/audit.py). They send the names of these kinds.
OF_WORKERS = {
    COMPUTE: {kind.name: kind for kind in (
        _reported("guest_without_record", "delete the server if a row has it; else end the guest with virsh destroy and undefine, once its disks are saved"),
        _reported("guest_not_defined", "openstack server reboot --hard SERVER defines the guest again, and so does a restart of nova-compute"),
        _reported("disks_without_record", "save the files if a server may need them, then remove the directory"),
        _reported("volume_without_record", "openstack server reboot --hard SERVER takes the volume out of the guest"),
        _reported("volume_not_attached", "openstack server reboot --hard SERVER puts the volume into the guest"))},
    NETWORK: {kind.name: kind for kind in (
        _reported("network_not_made", "nova-network makes it again within [network] check_interval"),
        _reported("device_without_record", "if no other cloud on this machine has the network: ip link delete NAME, ip netns delete NAME"),
        _reported("forwarding_entries", "nova-network makes them right within [network] check_interval"))},
}

KINDS = (*(kind for kind in list(globals().values()) if isinstance(kind, Kind)), *(kind for kinds in OF_WORKERS.values() for kind in kinds.values()))


def of_worker(binary: str, agent: str, report: AuditReport) -> AuditReport:
    """What the worker has found, with the conductor's own advice: an operator who is in trouble follows it."""
    known = OF_WORKERS[binary]
    return AuditReport(findings=tuple(known[one.kind].found(one.resource, one.problem, host=agent) for one in report.findings),
                       omitted=report.omitted)
