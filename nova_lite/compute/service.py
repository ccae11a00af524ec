# SPDX-License-Identifier: Apache-2.0
"""Wires a compute worker together: driver, records, endpoints, heartbeat, recovery."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path

import oslo_messaging as messaging
from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute import inventory
from nova_lite.compute.audit import Audit
from nova_lite.compute.console_server import ConsoleServer
from nova_lite.compute.host import Host
from nova_lite.compute.operations.build import Build
from nova_lite.compute.operations.console import Console
from nova_lite.compute.operations.guest_agent import Inside
from nova_lite.compute.operations.image_cache import ImageCaching
from nova_lite.compute.operations.interfaces import Interfaces
from nova_lite.compute.operations.power import Power
from nova_lite.compute.operations.rebuild import Rebuild
from nova_lite.compute.operations.resize import Resize
from nova_lite.compute.operations.shelve import Shelve
from nova_lite.compute.operations.snapshot import Snapshot
from nova_lite.compute.operations.soft_delete import SoftDelete
from nova_lite.compute.operations.volumes import Volumes
from nova_lite.compute.records import Records
from nova_lite.compute.recovery import Recovery
from nova_lite.compute.virt import drivers
from nova_lite.compute.virt.driver import Driver
from nova_lite.rpc import stopping
from nova_lite.rpc.compute import ComputeRpc
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.worker import host_name
from nova_lite.worker.admission import Admission
from nova_lite.worker.images import uploads
from nova_lite.worker.state_lock import StateLock

LOG = logging.getLogger(__name__)
_CLEAN_EVERY_S = 300
_RETRY_S, _LONGEST_RETRY_S = 2.0, 60.0
_BOOT_ID = "boot_id"


class ComputeService:
    """nova-compute: `start()` begins to serve, `stop()` ends; guests go on."""

    def __init__(self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport, *, driver: Driver | None = None) -> None:
        self._conf = conf
        self.driver: Driver = driver or drivers.make(conf)
        self._state = Path(conf.state_path) / "compute"
        self._lock = StateLock(self._state)
        self._admission = Admission(transport, binary="nova-compute", host=conf.host, directory=self._state)
        self._records = Records(self._state, is_durable=self.driver.capabilities.keeps_disks)
        self._conductor = ConductorRpc.client(transport)
        self.host = Host(conf=conf, driver=self.driver, records=self._records, conductor=self._conductor)
        self._consoles = ConsoleServer(
            address=conf.my_ip, port=conf.compute.console_port, connect=self.driver.consoles.connect)
        build = Build(self.host)
        self._server = serve(ComputeRpc, transport, conf.host, [
            build, Audit(self.host), Interfaces(self.host), Power(self.host), Resize(self.host), SoftDelete(self.host), Shelve(self.host),
            Rebuild(self.host), Volumes(self.host), Snapshot(self.host, upload=uploads.upload, timeout_s=conf.compute.image_timeout), Inside(self.host), Console(self.host, self._consoles), ImageCaching(self.host)])
        self._heartbeat = Heartbeat(self._conductor, self.report, interval_s=conf.report_interval)
        self._build = build
        self._is_stopping = threading.Event()
        self._begun = contextlib.ExitStack()

    def start(self) -> None:
        """Recover, then serve, once a conductor has admitted this worker; guests do not wait for one. If it fails, nothing of it goes on.

        :raises errors.WrongHost: the state directory is another host's. :raises errors.StateInUse: another process has it.
        :raises errors.NameInUse: another worker serves this host's name.
        """
        with contextlib.ExitStack() as begun:
            self._begin(begun)
            self._begun = begun.pop_all()

    def _begin(self, begun: contextlib.ExitStack) -> None:
        """Each thing that begins says how it ends, also when a later one fails."""
        self._state.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock.take()
        begun.callback(self._lock.release)
        self._records.load()
        self._claim_state()
        self._admission.request()
        starts = self._conf.compute.resume_guests_state_on_host_boot and self._is_first_since_boot()
        recovery = Recovery(self.host, self._build, starts_guests=starts)
        recovery.clean()
        begun.callback(self.driver.host.close)
        self.driver.host.open(self.host.reports.see)
        begun.callback(self.host.reports.stop)
        self.host.reports.start()
        if not self.driver.capabilities.keeps_disks:
            self._recover(recovery.run, recovery)
        begun.callback(self._consoles.stop)
        self._consoles.start()
        housekeeper = threading.Thread(target=self._keep_house, args=(recovery,), name="compute-housekeeper", daemon=True)
        housekeeper.start()
        begun.callback(housekeeper.join, timeout=5)
        begun.callback(self._is_stopping.set)
        self._admission.obtain()
        self._server.start()
        begun.callback(stopping.stop, self._server)
        self._heartbeat.start()
        begun.callback(self._heartbeat.stop)

    def stop(self) -> None:
        self._is_stopping.set()
        self._begun.close()

    def report(self) -> ServiceReport:
        """The heartbeat: that this worker lives and what its hosts offer, or why they can run no guests now."""
        status = ServiceReport(
            binary="nova-compute", agent=self._conf.host, availability_zone=self._conf.compute.availability_zone)
        try:
            self.driver.host.check("describe the host")
            return dataclasses.replace(status, inventories=self.driver.host.inventory())
        except errors.HypervisorFailed as error:
            LOG.warning("%s", error.text)
            return dataclasses.replace(status, trouble=error.text)

    def _claim_state(self) -> None:
        """Only a driver that keeps disks knows guests of earlier processes, all of the host that is named as the worker.

        :raises errors.WrongHost: the state is another host's.
        """
        guests_hosts = {record.guest.host for record in self._records.all()} if self.driver.capabilities.keeps_disks else set()
        recorded = "" if self._conf.host in guests_hosts else next(iter(sorted(guests_hosts)), "")
        host_name.claim(self._state, self._conf.host, is_in_use=bool(self._records.all()), recorded=recorded)

    def _is_first_since_boot(self) -> bool:
        """Whether the machine was restarted since recovery last ran; simulated guests end with the process."""
        path = self._state / _BOOT_ID
        known = path.read_text() if path.exists() else ""
        return not self.driver.capabilities.keeps_disks or known != inventory.boot_id()

    def _recover(self, recover: Callable[[], None], recovery: Recovery) -> None:
        """Only when it is through does this boot of the machine count as seen."""
        recover()
        if not recovery.is_waiting:
            (self._state / _BOOT_ID).write_text(inventory.boot_id())

    def _keep_house(self, recovery: Recovery) -> None:
        """What is done now and then, beside requests; errors are reported and it goes on."""
        if self.driver.capabilities.keeps_disks and self._is_hypervisor_there():
            self._safely(lambda: self._recover(recovery.run, recovery))
        since_clean, retry_s = 0.0, _RETRY_S
        interval: float = self._conf.compute.sync_power_state_interval
        synced = self.host.clock()
        while not self._is_stopping.wait(min(retry_s, interval) if recovery.is_waiting else interval):
            if recovery.is_waiting:
                self._safely(lambda: self._recover(recovery.retry, recovery))
                retry_s = min(retry_s * 2, _LONGEST_RETRY_S)
                if self.host.clock() - synced < interval:
                    continue
            synced = self.host.clock()
            self._safely(lambda: self.host.reports.report_all(self.driver.guests.list_ours()))
            since_clean += interval
            if since_clean >= _CLEAN_EVERY_S:
                since_clean = 0.0
                self._safely(recovery.clean)

    def _is_hypervisor_there(self) -> bool:
        """Wait for the hypervisor as long as it takes; False: the worker is to stop."""
        while not self._is_stopping.is_set():
            try:
                self.driver.guests.list_ours()
            except errors.HypervisorFailed as error:
                LOG.warning("recovery waits: %s", error.text)
                self._is_stopping.wait(_RETRY_S)
            else:
                return True
        return False

    def _safely(self, work: Callable[[], None]) -> None:
        try:
            work()
        except errors.NovaLiteError as error:
            LOG.warning("housekeeping: %s", error.text)
