# SPDX-License-Identifier: Apache-2.0
"""The worker's backends: made as nova.conf says, opened, and opened again later while one cannot be used."""

from __future__ import annotations

import dataclasses
import hashlib
import threading
from pathlib import Path
from typing import Any

from oslo_config import cfg
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.rpc.volume import Backup, Export, PoolReport, Snapshot, Volume
from nova_lite.volume.backups.copies import copy_for
from nova_lite.volume.directory.exports import FileExports
from nova_lite.volume.directory.pool import DirectoryPool
from nova_lite.volume.driver import Backend
from nova_lite.volume.fake import FakeExports, FakePool
from nova_lite.volume.records import Phase, Record, Records
from nova_lite.volume.tgt.exports import TargetExports

LOG = logging.getLogger(__name__)
DEFAULT = "local"
_RUN = Path("/run/nova-lite")


class Options:
    """The options of one backend: those of its section, else of [backend_defaults]."""

    def __init__(self, conf: cfg.ConfigOpts, name: str) -> None:
        self._conf, self.name = conf, name
        self.host: str = conf.host

    def __getattr__(self, option: str) -> Any:  # as oslo.config's groups
        own = self._conf[self.name][option]
        return self._conf.backend_defaults[option] if own is None else own

    @property
    def backend_name(self) -> str:
        return self.volume_backend_name or self.name

    @property
    def directory(self) -> Path:
        """Where the volumes are, if they are files."""
        default = "volumes" if self.name == DEFAULT else f"volumes-{self.name}"
        return Path(self.pool_path or Path(self._conf.state_path) / default).absolute()

    @property
    def target_address(self) -> str:
        return str(self.target_ip_address or self._conf.my_ip)

    @property
    def run_directory(self) -> Path:
        """Where sockets are, whose paths must be short."""
        return _RUN / f"volume-{hashlib.sha256(str(self.directory).encode()).hexdigest()[:12]}"


def make(conf: cfg.ConfigOpts) -> list[Backend]:
    """The configured backends, not yet opened."""
    return [_make(conf, Options(conf, name)) for name in conf.enabled_backends]


def _make(conf: cfg.ConfigOpts, options: Options) -> Backend:
    driver = options.volume_driver
    if driver == "fake" or (driver == "auto" and conf.compute.driver == "fake"):
        fake = FakePool(options)
        return Backend(options.name, fake, FakeExports(fake), keeps_volumes=False)
    timeout_s: float = conf.volume.image_convert_timeout
    if driver == "tgt":
        exported = DirectoryPool(options, timeout_s=timeout_s, is_raw=True)
        return Backend(options.name, exported, TargetExports(exported, options))
    pool = DirectoryPool(options, timeout_s=timeout_s)
    return Backend(options.name, pool, FileExports(pool, host=conf.host))


class Backends:
    """The backends by name. One that cannot be used leaves the others alone, and is opened once it can."""

    def __init__(self, backends: list[Backend], *, host: str, records: Records) -> None:
        self._backends = {backend.name: backend for backend in backends}
        self._host, self._records = host, records
        self._guard = threading.Lock()
        self._troubles = {name: "it was not opened yet" for name in self._backends}

    @property
    def keeps_volumes(self) -> bool:
        """Whether any of them has volumes that outlive this process."""
        return any(backend.keeps_volumes for backend in self._backends.values())

    def get(self, name: str, *, action: str) -> Backend:
        """:raises errors.VolumeFailed: there is none of the name, or it cannot be used now."""
        if name not in self._backends:
            raise errors.VolumeFailed(host=self._host, action=action, reason=f"it has no backend {name}: [DEFAULT] enabled_backends lacks it")
        with self._guard:
            trouble = self._troubles.get(name)
        if trouble is not None:
            raise errors.VolumeFailed(host=self._host, action=action, reason=f"backend {name} cannot be used: {trouble}")
        return self._backends[name]

    def open(self) -> None:
        """Open those that are not; the records are read before."""
        with self._guard:
            for name in list(self._troubles):
                try:
                    self._open(self._backends[name])
                except (errors.NovaLiteError, OSError) as error:
                    trouble = error.text if isinstance(error, errors.NovaLiteError) else str(error)
                    if self._troubles[name] != trouble:
                        LOG.warning("backend %s cannot be used: %s", name, trouble)
                    self._troubles[name] = trouble
                else:
                    del self._troubles[name]

    def _open(self, backend: Backend) -> None:
        """What a crash cut off is removed, or its removal finished; the conductor sends again what is still needed."""
        ours = [record for record in self._records.all() if record.volume.backend == backend.name]
        made = [record.subject for record in ours if record.phase is Phase.MADE]
        backend.pool.open(
            volumes=[subject for subject in made if isinstance(subject, Volume)],
            snapshots=[subject for subject in made if isinstance(subject, Snapshot)])
        backend.exports.restore([subject for subject in made if isinstance(subject, Export)])
        for record in ours:
            if record.phase is not Phase.MADE:
                _remove(backend, record)
                self._records.remove(record.kind, record.id)
                LOG.info("%s %s: it was half %s; removed", record.kind, record.id, "made" if record.phase is Phase.MAKING else "removed")

    def pools(self) -> tuple[PoolReport, ...]:
        """Those of the backends that can be used."""
        self.open()
        with self._guard:
            usable = [backend for name, backend in self._backends.items() if name not in self._troubles]
        return tuple(report for backend in usable for report in self._report(backend))

    def _report(self, backend: Backend) -> list[PoolReport]:
        """The backend's pools; none when it has become unusable: it is opened again later."""
        try:
            return [_reported(backend, pool) for pool in backend.pool.pools()]
        except (errors.NovaLiteError, OSError) as error:
            trouble = error.text if isinstance(error, errors.NovaLiteError) else str(error)
            LOG.warning("backend %s cannot be used any more: %s", backend.name, trouble)
            with self._guard:
                self._troubles[backend.name] = trouble
                backend.exports.close()
                backend.pool.close()
            return []

    def remove_all(self) -> None:
        """Close them, and end what outlives this process; volumes stay."""
        self.close()
        for backend in self._backends.values():
            backend.exports.remove_all()

    def close(self) -> None:
        """End what lives in this process only."""
        with self._guard:
            for name, backend in self._backends.items():
                if name not in self._troubles:
                    self._troubles[name] = "it is closed"
                    backend.exports.close()
                    backend.pool.close()


def _reported(backend: Backend, pool: PoolReport) -> PoolReport:
    return dataclasses.replace(
        pool, reach=backend.exports.reach, capabilities={**pool.capabilities, **backend.exports.capabilities})


def _remove(backend: Backend, record: Record) -> None:
    subject = record.subject
    if isinstance(subject, Volume):
        backend.pool.delete(subject)
    elif isinstance(subject, Snapshot):
        backend.pool.delete_snapshot(subject)
    elif isinstance(subject, Backup):
        backend.pool.delete(copy_for(subject))
    else:
        backend.exports.unexport(subject)
