# SPDX-License-Identifier: Apache-2.0
"""nova-volume: serves VolumeRpc for the pools of one host, and reports them in its heartbeats."""

from __future__ import annotations

import contextlib
from pathlib import Path

import oslo_messaging as messaging
from oslo_config import cfg

from nova_lite.rpc import stopping
from nova_lite.rpc.conductor import ConductorRpc, ServiceReport
from nova_lite.rpc.heartbeat import Heartbeat
from nova_lite.rpc.interface import serve
from nova_lite.rpc.volume import VolumeRpc
from nova_lite.volume import backends
from nova_lite.volume.backups import configured as configured_backups
from nova_lite.volume.driver import Backend
from nova_lite.volume.images import Images
from nova_lite.volume.operations.backups import Backups
from nova_lite.volume.operations.exports import Exports
from nova_lite.volume.operations.inventory import Inventory
from nova_lite.volume.operations.snapshots import Snapshots
from nova_lite.volume.operations.uploads import Uploads
from nova_lite.volume.operations.volumes import Volumes
from nova_lite.volume.records import Records
from nova_lite.volume.worker import Worker
from nova_lite.worker.admission import Admission
from nova_lite.worker.images import uploads
from nova_lite.worker.state_lock import StateLock
from nova_lite.worker.step_reports import StepReports


class VolumeService:
    """One nova-volume: `start()` begins to serve, `stop()` ends; volumes that guests have open stay so."""

    def __init__(
        self, conf: cfg.ConfigOpts, transport: messaging.transport.RPCTransport, *, made: list[Backend] | None = None
    ) -> None:
        """`made`: the backends; None: as `conf` says."""
        directory = Path(conf.state_path) / "volume"
        conductor = ConductorRpc.client(transport)
        configured = backends.make(conf) if made is None else made
        self._host: str = conf.host
        self._zone: str = conf.compute.availability_zone
        self._lock = StateLock(directory)
        self._admission = Admission(transport, binary="nova-volume", host=conf.host, directory=directory)
        self._records = Records(directory, is_durable=any(backend.keeps_volumes for backend in configured))
        self._backends = backends.Backends(configured, host=conf.host, records=self._records)
        self._images = Images(conf)
        self.worker = Worker(
            name=conf.host, backends=self._backends, records=self._records,
            reports=StepReports(conductor, kind="volume", host=conf.host))
        self._server = serve(VolumeRpc, transport, conf.host, [
            Backups(self.worker, images=self._images, archive=configured_backups.archive(conf)),
            Exports(self.worker), Inventory(self.worker), Snapshots(self.worker), Volumes(self.worker, images=self._images),
            Uploads(self.worker, images=self._images, upload=uploads.upload, timeout_s=conf.volume.image_timeout)])
        self._heartbeat = Heartbeat(conductor, self.report, interval_s=conf.report_interval)
        self._begun = contextlib.ExitStack()

    def start(self) -> None:
        """Recover what the records say, then serve, once a conductor has admitted this worker. If it fails, nothing of it goes on.

        A backend that cannot be used is no failure: the heartbeats lack its pools, and it is tried again.

        :raises errors.WrongHost: the state directory is another host's. :raises errors.StateInUse: another process has it.
        :raises errors.NameInUse: another worker serves this host's name.
        """
        with contextlib.ExitStack() as begun:
            self._lock.take()
            begun.callback(self._lock.release)
            self._records.load()
            self._records.claim(self._host)
            self._admission.request()
            self._images.open()
            begun.callback(self._backends.close)
            self._backends.open()
            self._admission.obtain()
            self._server.start()
            begun.callback(stopping.stop, self._server)
            self._heartbeat.start()
            begun.callback(self._heartbeat.stop)
            self._begun = begun.pop_all()

    def stop(self) -> None:
        """Finish requests under way and end."""
        self._begun.close()

    def report(self) -> ServiceReport:
        """The heartbeat: that this worker lives, and its pools that can be used."""
        return ServiceReport(
            binary="nova-volume", agent=self._host, availability_zone=self._zone, pools=self._backends.pools())
