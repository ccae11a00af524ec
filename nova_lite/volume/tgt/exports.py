# SPDX-License-Identifier: Apache-2.0
"""A target for each attachment, with one logical unit, one account and one initiator that may log in.

tgtd has all of it in memory only: it is made again from what the worker has records of, whenever tgtd was started. A target is complete
when it has its initiator, which comes last: hosts whose session was cut wait until then.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import ipaddress
import os
import re
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

from oslo_log import log as logging

from nova_lite import errors
from nova_lite.rpc.volume import Connector, Export, Volume
from nova_lite.runtime.failpoints import fail
from nova_lite.runtime.periodic import Periodic
from nova_lite.volume.directory.pool import DirectoryPool
from nova_lite.volume.tgt.control import Code, Mode, NoDaemon, Op, Refused, Target
from nova_lite.volume.tgt.daemon import TargetDaemon
from nova_lite.worker import files

LOG = logging.getLogger(__name__)
_LUN = 1  # 0 is the controller
# The default, 8192, makes large writes several times slower.
_SEGMENT_BYTES = 262144
_CHECK_S = 2.0
# tgtd refuses to remove what a command is at work on.
_REMOVE_S = 10.0
_POLL_S = 0.05
_INITIATOR = re.compile(r"(iqn|eui|naa)\.[A-Za-z0-9.:_-]{1,200}")
_KEY = "chap.key"


class TargetOptions(Protocol):
    """What is configured of a backend."""

    host: str
    target_port: int
    target_prefix: str

    @property
    def target_address(self) -> str: ...

    @property
    def run_directory(self) -> Path: ...


class TargetExports:
    """See nova_lite.volume.driver.ExportDriver; safe for threads."""

    reach = "network"

    def __init__(self, pool: DirectoryPool, options: TargetOptions) -> None:
        self._pool, self._options = pool, options
        address = options.target_address
        self._portal = f"[{address}]:{options.target_port}" if ":" in address else f"{address}:{options.target_port}"
        self.daemon = TargetDaemon(options.run_directory, portal=self._portal)
        self._lock = threading.RLock()
        self._exports: dict[str, Export] = {}
        self._watch: Periodic | None = None
        self._trouble = ""

    @property
    def capabilities(self) -> dict[str, Any]:
        return {"storage_protocol": "iSCSI", "multiattach": True}

    def restore(self, exports: Sequence[Export]) -> None:
        with self._lock, self._failing("start the iSCSI target"):
            try:
                ipaddress.ip_address(self._options.target_address)
            except ValueError:
                raise self._failed("start the iSCSI target", f"target_ip_address (my_ip) {self._options.target_address} is no IP address") from None
            self._exports = {export.attachment_id: export for export in exports}
            if not self.daemon.is_answering():
                self.daemon.start()
            self._sync()
            self._watch = Periodic("tgt-watch", self._look, interval_s=_CHECK_S)
            self._watch.start()

    def export(self, export: Export) -> dict[str, Any]:
        self._pool.path_of(export.volume)
        with self._lock, self._failing("export the volume"):
            acl = _acl_of(export.connector)
            if acl is None:
                raise self._failed("export the volume", "its connector names neither an iSCSI initiator nor an IP address")
            self._ensure_running()
            self._make(export, acl, self.daemon.control.targets())
            self._exports[export.attachment_id] = export
        return {"driver_volume_type": "iscsi", "data": {
            "target_discovered": False, "target_portal": self._portal, "target_iqn": self._name(export), "target_lun": _LUN,
            "volume_id": export.volume.volume_id, "auth_method": "CHAP", "auth_username": export.attachment_id,
            "auth_password": self._password(export), "access_mode": "ro" if export.is_read_only else "rw", "discard": True,
            "encrypted": False, "qos_specs": None}}

    def unexport(self, export: Export) -> None:
        with self._lock, self._failing("end the export"):
            self._exports.pop(export.attachment_id, None)
            self._ensure_running()
            target = self.daemon.control.targets().get(self._name(export))
            if target is not None:
                self._remove(target)
            self._delete_account(export)

    def extended(self, volume: Volume) -> None:
        with self._lock, self._failing("show the new size"):
            self._ensure_running()
            for export in [one for one in self._exports.values() if one.volume.volume_id == volume.volume_id]:
                self._reopen(export)

    def close(self) -> None:
        """tgtd goes on: guests have volumes open."""
        if self._watch is not None:
            self._watch.stop()
            self._watch = None

    def remove_all(self) -> None:
        """End tgtd too."""
        self.close()
        self.daemon.remove()

    def check(self) -> None:
        """Start tgtd when it has ended, and make again what it lacks."""
        with self._lock, self._failing("start the iSCSI target"):
            self._ensure_running()
            complete = {target.name for target in self.daemon.control.targets().values() if target.acls}
            if complete != {self._name(export) for export in self._exports.values()}:
                self._sync()
            self.daemon.trim_log()

    def _look(self) -> None:
        """`check`; what prevents it is logged once."""
        try:
            self.check()
        except errors.VolumeFailed as error:
            if error.text != self._trouble:
                LOG.warning("%s", error.text)
            self._trouble = error.text
        else:
            self._trouble = ""

    def _ensure_running(self) -> None:
        if not self.daemon.is_answering():
            LOG.warning("tgtd does not answer: it is started again, with %d exports", len(self._exports))
            self.daemon.start()
            self._sync()

    def _sync(self) -> None:
        """Let tgtd have the exports and no other; one that cannot be made leaves the others alone."""
        targets = self.daemon.control.targets()
        wanted = {self._name(export): export for export in self._exports.values()}
        for name, target in targets.items():
            if name not in wanted:
                LOG.info("target %s is no attachment's; removed", name)
                self._remove(target)
        for export in wanted.values():
            try:
                acl = _acl_of(export.connector)
                if acl is not None:
                    self._make(export, acl, targets)
            except (Refused, errors.VolumeFailed) as error:
                LOG.warning("attachment %s: its volume could not be exported again: %s", export.attachment_id, error)

    def _reopen(self, export: Export) -> None:
        """Open the volume's file anew, since its size is read only then.

        Hosts are cut off meanwhile: they log in again and repeat what was under way, within about a second. To open it anew under
        open sessions (a logical unit's `path`) is an I/O error for a command that is at work.
        """
        targets = self.daemon.control.targets()
        target, acl = targets.pop(self._name(export), None), _acl_of(export.connector)
        if target is not None and acl is not None:
            self._remove(target)
            fail("volume.tgt.reopen")
            self._make(export, acl, targets)

    def _make(self, export: Export, acl: str, targets: dict[str, Target]) -> None:
        """Make the target, unless it is complete."""
        path, name = str(self._pool.path_of(export.volume)), self._name(export)
        known = targets.get(name)
        if known is not None:
            if known.acls and known.path == path:
                return
            self._remove(known)
        taken = {target.tid for target in targets.values()}
        target = Target(next(tid for tid in range(1, len(taken) + 2) if tid not in taken), name, path)
        self._send(Mode.TARGET, Op.NEW, target, params=f"targetname={name}")
        targets[name] = target
        with contextlib.ExitStack() as undo:
            undo.callback(self._remove, target)
            fail("volume.tgt.target")
            self._send(Mode.TARGET, Op.UPDATE, target, params=f"MaxRecvDataSegmentLength={_SEGMENT_BYTES}")
            self._send(Mode.DEVICE, Op.NEW, target, lun=_LUN, params=f"path={path},bstype=rdwr")
            self._send(Mode.DEVICE, Op.UPDATE, target, lun=_LUN, params=(
                f"targetOps thin_provisioning=1,vendor_id=NOVALITE,scsi_sn={export.volume.volume_id},readonly={int(export.is_read_only)},"))
            fail("volume.tgt.unit")
            self._delete_account(export)
            self.daemon.control.send(Mode.ACCOUNT, Op.NEW, params=f"user={export.attachment_id},password={self._password(export)}")
            self._send(Mode.ACCOUNT, Op.BIND, target, params=f"user={export.attachment_id}")
            fail("volume.tgt.account")
            self._send(Mode.TARGET, Op.BIND, target, params=acl)
            undo.pop_all()

    def _remove(self, target: Target) -> None:
        """Nobody logs in any more; then cut who is, and remove the target."""
        for account in target.accounts:
            self._send_if_there(Mode.ACCOUNT, Op.UNBIND, target, params=f"user={account}")
        for acl in target.acls:
            kind = "initiator-name" if _INITIATOR.fullmatch(acl) else "initiator-address"
            self._send_if_there(Mode.TARGET, Op.UNBIND, target, params=f"{kind}={acl}")
        deadline = time.monotonic() + _REMOVE_S
        while True:
            now = self.daemon.control.targets().get(target.name)
            if now is None:
                return
            for session, connection in now.connections:
                self._send_if_there(Mode.CONNECTION, Op.DELETE, now, session=session, connection=connection)
            try:
                return self._send_if_there(Mode.TARGET, Op.DELETE, now, is_forced=True)
            except Refused as refused:
                if refused.code not in (Code.LUN_ACTIVE, Code.TARGET_ACTIVE) or time.monotonic() > deadline:
                    raise
            time.sleep(_POLL_S)

    def _delete_account(self, export: Export) -> None:
        with contextlib.suppress(Refused):  # none is fine
            self.daemon.control.send(Mode.ACCOUNT, Op.DELETE, params=f"user={export.attachment_id}")

    def _send(self, mode: Mode, op: Op, target: Target, **fields: Any) -> None:  # of Control.send
        self.daemon.control.send(mode, op, tid=target.tid, **fields)

    def _send_if_there(self, mode: Mode, op: Op, target: Target, **fields: Any) -> None:  # of Control.send
        """What is gone already is fine."""
        try:
            self._send(mode, op, target, **fields)
        except Refused as refused:
            if refused.code not in (Code.NO_TARGET, Code.NO_LUN, Code.NO_SESSION, Code.NO_CONNECTION, Code.NO_ACL, Code.NO_USER):
                raise

    def _name(self, export: Export) -> str:
        return f"{self._options.target_prefix}{export.attachment_id}"

    def _password(self, export: Export) -> str:
        """100 random bits, the same for the same attachment, which nobody without the pool's key can compute."""
        path = self._pool.layout.root / _KEY
        if not path.exists():
            files.replace(path, os.urandom(32).hex())
        digest = hmac.new(path.read_bytes(), export.attachment_id.encode(), hashlib.sha256).digest()
        return base64.b32encode(digest).decode().lower()[:20]

    def _failed(self, action: str, reason: object) -> errors.VolumeFailed:
        return errors.VolumeFailed(host=self._options.host, action=action, reason=reason)

    @contextlib.contextmanager
    def _failing(self, action: str) -> Iterator[None]:
        """Raise what tgtd refuses as errors.VolumeFailed."""
        try:
            yield
        except (Refused, NoDaemon) as error:
            raise self._failed(action, error) from error
        except OSError as error:
            raise self._failed(action, error.strerror or error) from error


def _acl_of(connector: Connector) -> str | None:
    """Who may log in: the host's initiator, or its address where it names none. No other form than these gets to tgtd."""
    if _INITIATOR.fullmatch(connector.initiator):
        return f"initiator-name={connector.initiator}"
    try:
        return f"initiator-address={ipaddress.ip_address(connector.ip)}"
    except ValueError:
        return None
