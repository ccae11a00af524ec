# SPDX-License-Identifier: Apache-2.0
"""The driver's connection to libvirt: made again when libvirtd restarts, each call with a deadline, events in one thread."""

from __future__ import annotations

import functools
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import libvirt
from oslo_log import log as logging

from nova_lite import errors
from nova_lite.compute.virt.libvirt.events import DomainEvents

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
# libvirtd takes 1 s to restart, up to 10 s when it probes QEMU first.
_CONNECT_S = 15.0
_RETRY_S = 0.5
_TRIES = 2
# For actions that a client waits for; a libvirtd that works answers in milliseconds.
_ANSWER_S = 5.0
_LOST = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)


class Connection:
    """`events` is called in the event thread."""

    def __init__(self, uri: str, *, host: str, timeout_s: float, events: DomainEvents) -> None:
        self._uri, self._host, self._timeout_s, self._events = uri, host, timeout_s, events
        self._on_connected: Callable[[], None] = lambda: None
        self._changed = threading.Condition()
        self._live: Any = None  # libvirt.virConnect: the library has no types
        self._is_closed = False
        self._why = "libvirt has not answered yet"
        self._probe: _Probe | None = None

    def open(self, *, on_connected: Callable[[], None]) -> None:
        """Begin to connect; `run` waits for it. `on_connected` is called in a thread of its own after each (re)connect."""
        self._on_connected = on_connected
        _run_event_loop()
        threading.Thread(target=self._stay_connected, name="libvirt-connection", daemon=True).start()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            live, self._live = self._live, None
            self._changed.notify_all()
        if live is not None:
            _quietly(live.close)

    def check(self, action: str) -> None:
        """Check that libvirt answers a light call; while one is unanswered, no other is made.

        :raises errors.HypervisorFailed: no answer within 5 s of the call; at once if it was made longer ago.
        """
        with self._changed:
            if not (self._live is not None or self._changed.wait_for(lambda: self._live is not None, timeout=_ANSWER_S)):
                reason = f"no connection to libvirt: {self._why}"
                raise errors.HypervisorFailed(host=self._host, action=action, reason=reason)
            if self._probe is None or self._probe.is_answered.is_set() or self._probe.connection is not self._live:
                self._probe = _Probe(self._live)
            probe = self._probe
        if not probe.is_answered.wait(max(0.0, probe.started + _ANSWER_S - time.monotonic())):
            reason = f"libvirt has not answered for {time.monotonic() - probe.started:.0f} s"
            raise errors.HypervisorFailed(host=self._host, action=action, reason=reason)

    def run(self, action: str, work: Callable[[Any], _T], *, timeout_s: float | None = None) -> _T:
        """What `work(connection)` returns; repeated once if libvirtd goes away meanwhile, so it must be idempotent.

        `timeout_s` None: [libvirt] call_timeout.

        :raises errors.HypervisorFailed: `action` failed, with libvirt's error, or no answer in time.
        """
        limit = self._timeout_s if timeout_s is None else timeout_s
        for remaining in reversed(range(_TRIES)):
            live = self._wait_live(action)
            try:
                return _in_thread(functools.partial(work, live), limit)
            except libvirt.libvirtError as error:
                is_lost = error.get_error_domain() in _LOST or not _is_alive(live)
                if is_lost:
                    self._mark_lost(live, str(error))
                if not (is_lost and remaining):
                    raise errors.HypervisorFailed(host=self._host, action=action, reason=error) from error
            except TimeoutError as late:
                reason = f"libvirt did not answer within {limit:.0f} s"
                raise errors.HypervisorFailed(host=self._host, action=action, reason=reason) from late
        raise AssertionError("the last try returns or raises")

    def _wait_live(self, action: str) -> Any:
        with self._changed:
            self._changed.wait_for(lambda: self._live is not None or self._is_closed, timeout=_CONNECT_S)
            if self._live is None:
                reason = f"no connection to libvirt: {self._why}"
                raise errors.HypervisorFailed(host=self._host, action=action, reason=reason)
            return self._live

    def _mark_lost(self, connection: Any, why: str) -> None:
        with self._changed:
            if self._live is not connection:
                return
            self._live, self._why = None, why
            self._changed.notify_all()
        LOG.warning("connection to libvirt lost: %s", why)

    def _stay_connected(self) -> None:
        """Connect, and again whenever the connection is lost, until closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._live is None or self._is_closed)
                if self._is_closed:
                    return
            is_abandoned = threading.Event()
            try:
                made = _in_thread(functools.partial(self._connect, is_abandoned), _CONNECT_S * 2)
            except (libvirt.libvirtError, TimeoutError) as error:
                is_abandoned.set()
                if str(error) != self._why:
                    LOG.warning("libvirt at %s does not answer: %s", self._uri, error)
                self._why = str(error) or "no answer"
                time.sleep(_RETRY_S)
                continue
            with self._changed:
                if self._is_closed:
                    return
                self._live = made
                self._changed.notify_all()
            LOG.info("connected to libvirt at %s", self._uri)
            threading.Thread(target=self._call_on_connected, name="libvirt-connected", daemon=True).start()

    def _call_on_connected(self) -> None:
        try:
            self._on_connected()
        except errors.HypervisorFailed as error:
            LOG.warning("guests' states could not be read: %s", error.text)

    def _connect(self, is_abandoned: threading.Event) -> Any:
        """A new connection with its callbacks; closed again when it comes after `is_abandoned` was set."""
        made = libvirt.open(self._uri)
        if is_abandoned.is_set():
            made.close()
            raise TimeoutError("too late")
        # No setKeepAlive: when its pings run out during a call, libvirt 9.0's client crashes the process (seen in
        # getVersion). A local socket shows a dead daemon at once; each call has a deadline against a hung one.
        made.registerCloseCallback(lambda conn, reason, opaque: self._mark_lost(made, f"closed (reason {reason})"), None)
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            lambda conn, domain, event, detail, opaque: self._events.on_lifecycle(domain.UUIDString(), event, detail), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT,
            lambda conn, domain, opaque: self._events.on_reboot(domain.UUIDString()), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
            lambda conn, domain, state, reason, opaque: self._agent_changed(domain.UUIDString(), state), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_DEVICE_REMOVED,
            lambda conn, domain, alias, opaque: self._events.on_device_removed(domain.UUIDString()), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_BLOCK_JOB_2,
            lambda conn, domain, disk, kind, status, opaque: self._events.on_block_job(domain.UUIDString()), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_IO_ERROR,
            lambda conn, domain, path, alias, action, opaque: self._io_failed(domain.UUIDString(), action), None,
        )
        return made

    def _io_failed(self, server_id: str, action: int) -> None:
        if action == libvirt.VIR_DOMAIN_EVENT_IO_ERROR_PAUSE:
            self._events.on_io_error(server_id)

    def _agent_changed(self, server_id: str, state: int) -> None:
        if state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED:
            self._events.on_agent_connected(server_id)


class _Probe:
    """One light call to libvirt, in a thread of its own; `is_answered` is set when it returns or fails."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self.started = time.monotonic()
        self.is_answered = threading.Event()
        threading.Thread(target=self._call, name="libvirt-probe", daemon=True).start()

    def _call(self) -> None:
        _quietly(self.connection.getLibVersion)
        self.is_answered.set()


_loop_lock = threading.Lock()
_loops: list[threading.Thread] = []


def _run_event_loop() -> None:
    """libvirt has one event loop for the process; it must exist before the first connection."""
    with _loop_lock:
        if _loops:
            return
        libvirt.virEventRegisterDefaultImpl()
        # libvirt also prints each error to stderr otherwise.
        libvirt.registerErrorHandler(lambda opaque, error: None, None)
        thread = threading.Thread(target=_loop, name="libvirt-events", daemon=True)
        _loops.append(thread)
        thread.start()


def _loop() -> None:
    while True:
        libvirt.virEventRunDefaultImpl()


class _Attempt(threading.local):
    """Of the thread that it is read in: set when the caller does not wait for the thread's work any more."""

    is_cancelled: threading.Event | None = None


_attempt = _Attempt()


class Cancelled(Exception):
    """The caller of this work got an error for it, so it must not be done any more."""


def check_cancelled() -> None:
    """Called before each step that changes a guest: libvirt may have blocked the step before for too long.

    :raises Cancelled: the caller does not wait for this work any more; the exception ends the thread.
    """
    if _attempt.is_cancelled is not None and _attempt.is_cancelled.is_set():
        raise Cancelled


def _in_thread(work: Callable[[], _T], timeout_s: float) -> _T:
    """`work()` in a thread of its own: when it does not return in time, its caller does.

    :raises TimeoutError: it did not end in time.
    """
    outcome: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    is_cancelled = threading.Event()

    def attempt() -> None:
        _attempt.is_cancelled = is_cancelled
        try:
            outcome.put((True, work()))
        except Exception as error:  # noqa: BLE001 - carried over to the waiting thread
            outcome.put((False, error))

    threading.Thread(target=attempt, name="libvirt-call", daemon=True).start()
    try:
        is_success, value = outcome.get(timeout=timeout_s)
    except queue.Empty:
        is_cancelled.set()
        raise TimeoutError(f"no answer within {timeout_s:.0f} s") from None
    if is_success:
        return value  # type: ignore[no-any-return]
    raise value


def _is_alive(live: Any) -> bool:
    try:
        return bool(live.isAlive())
    except libvirt.libvirtError:
        return False


def _quietly(work: Callable[[], object]) -> None:
    try:
        work()
    except libvirt.libvirtError as error:
        LOG.debug("libvirt: %s", error)
