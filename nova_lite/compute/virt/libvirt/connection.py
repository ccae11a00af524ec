# SPDX-License-Identifier: Apache-2.0
"""The one connection to libvirt: made again when libvirtd restarts, every call with a deadline, events in one thread."""

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

LOG = logging.getLogger(__name__)
_T = TypeVar("_T")
# libvirtd takes 1 s to restart, up to 10 s when it probes QEMU first.
_CONNECT_S = 15.0
_RETRY_S = 0.5
_TRIES = 2
# For callers who are waited for themselves, the API's among them; a libvirtd that works answers in milliseconds.
_ANSWER_S = 5.0
_LOST = (libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE)


class Connection:
    """`on_event(uuid, event, detail)`, `on_reboot(uuid)` and `on_agent(uuid)`, when the agent in the guest comes, are
    called in the event thread and must not block; `on_connected()` in a thread of its own after each (re)connect."""

    def __init__(
        self, uri: str, *, host: str, timeout_s: float, on_event: Callable[[str, int, int], None],
        on_reboot: Callable[[str], None], on_agent: Callable[[str], None], on_connected: Callable[[], None],
    ) -> None:
        self._uri, self._host, self._timeout_s = uri, host, timeout_s
        self._on_event, self._on_reboot, self._on_agent, self._on_connected = on_event, on_reboot, on_agent, on_connected
        self._changed = threading.Condition()
        self._live: Any = None  # libvirt.virConnect: the library has no types
        self._is_closed = False
        self._why = "libvirt has not answered yet"
        self._question: _Question | None = None

    def open(self) -> None:
        """Begin to connect; `run` waits for it."""
        _run_event_loop()
        threading.Thread(target=self._keep, name="libvirt-connection", daemon=True).start()

    def close(self) -> None:
        with self._changed:
            self._is_closed = True
            live, self._live = self._live, None
            self._changed.notify_all()
        if live is not None:
            _quietly(live.close)

    def check(self, action: str) -> None:
        """Ask libvirt for a sign of life; while one question is unanswered, no other is asked.

        :raises errors.HypervisorFailed: it gives none within 5 s, or has not for longer: then at once.
        """
        with self._changed:
            if not (self._live is not None or self._changed.wait_for(lambda: self._live is not None, timeout=_ANSWER_S)):
                reason = f"no connection to libvirt: {self._why}"
                raise errors.HypervisorFailed(host=self._host, action=action, reason=reason)
            if self._question is None or self._question.is_answered.is_set() or self._question.to is not self._live:
                self._question = _Question(self._live)
            question = self._question
        if not question.is_answered.wait(max(0.0, question.asked + _ANSWER_S - time.monotonic())):
            reason = f"libvirt has not answered for {time.monotonic() - question.asked:.0f} s"
            raise errors.HypervisorFailed(host=self._host, action=action, reason=reason)

    def run(self, action: str, work: Callable[[Any], _T], *, timeout_s: float | None = None) -> _T:
        """What `work(connection)` returns; done again if libvirtd went away meanwhile, so it must be idempotent.

        `timeout_s` None: [libvirt] call_timeout.

        :raises errors.HypervisorFailed: "refused to `action`", with libvirt's words, or no answer in time.
        """
        limit = self._timeout_s if timeout_s is None else timeout_s
        for left in reversed(range(_TRIES)):
            live = self._wait_live(action)
            try:
                return _in_thread(functools.partial(work, live), limit)
            except libvirt.libvirtError as error:
                is_lost = error.get_error_domain() in _LOST or not _is_alive(live)
                if is_lost:
                    self._lose(live, str(error))
                if not (is_lost and left):
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

    def _lose(self, gone: Any, why: str) -> None:
        with self._changed:
            if self._live is not gone:
                return
            self._live, self._why = None, why
            self._changed.notify_all()
        LOG.warning("connection to libvirt lost: %s", why)

    def _keep(self) -> None:
        """Stay connected until closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._live is None or self._is_closed)
                if self._is_closed:
                    return
            given_up = threading.Event()
            try:
                made = _in_thread(functools.partial(self._connect, given_up), _CONNECT_S * 2)
            except (libvirt.libvirtError, TimeoutError) as error:
                given_up.set()
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
            threading.Thread(target=self._tell_connected, name="libvirt-connected", daemon=True).start()

    def _tell_connected(self) -> None:
        try:
            self._on_connected()
        except errors.HypervisorFailed as error:
            LOG.warning("guests' states could not be read: %s", error.text)

    def _connect(self, given_up: threading.Event) -> Any:
        """A new connection with its callbacks; one that comes after it was `given_up` is closed again."""
        made = libvirt.open(self._uri)
        if given_up.is_set():
            made.close()
            raise TimeoutError("too late")
        # No setKeepAlive: when its pings run out during a call, libvirt 9.0's client crashes the process (seen in
        # getVersion). A local socket shows a dead daemon at once; a hung one is met by the deadline of each call.
        made.registerCloseCallback(lambda gone, reason, opaque: self._lose(made, f"closed (reason {reason})"), None)
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE,
            lambda conn, domain, event, detail, opaque: self._on_event(domain.UUIDString(), event, detail), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_REBOOT,
            lambda conn, domain, opaque: self._on_reboot(domain.UUIDString()), None,
        )
        made.domainEventRegisterAny(
            None, libvirt.VIR_DOMAIN_EVENT_ID_AGENT_LIFECYCLE,
            lambda conn, domain, state, reason, opaque: self._agent_changed(domain.UUIDString(), state), None,
        )
        return made

    def _agent_changed(self, server_id: str, state: int) -> None:
        if state == libvirt.VIR_CONNECT_DOMAIN_EVENT_AGENT_LIFECYCLE_STATE_CONNECTED:
            self._on_agent(server_id)


class _Question:
    """One light call to libvirt, in a thread of its own: `is_answered` when it came back, with whatever."""

    def __init__(self, to: Any) -> None:
        self.to = to
        self.asked = time.monotonic()
        self.is_answered = threading.Event()
        threading.Thread(target=self._ask, name="libvirt-question", daemon=True).start()

    def _ask(self) -> None:
        _quietly(self.to.getLibVersion)
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
    """Of the thread that it is read in: set when whoever waited for its work has given up."""

    is_over: threading.Event | None = None


_attempt = _Attempt()


class Cancelled(Exception):
    """The caller of this work was told that it failed, so it must not happen any more."""


def go_on() -> None:
    """Ask before each step that changes a guest: libvirt may have kept the step before waiting for too long.

    :raises Cancelled: the work was given up; nobody sees this.
    """
    if _attempt.is_over is not None and _attempt.is_over.is_set():
        raise Cancelled


def _in_thread(work: Callable[[], _T], timeout_s: float) -> _T:
    """`work()` in a thread of its own: one that never returns is left behind, and its caller goes on.

    :raises TimeoutError: it did not end in time.
    """
    outcome: queue.SimpleQueue[tuple[bool, Any]] = queue.SimpleQueue()
    is_over = threading.Event()

    def attempt() -> None:
        _attempt.is_over = is_over
        try:
            outcome.put((True, work()))
        except Exception as error:  # noqa: BLE001 - carried over to the waiting thread
            outcome.put((False, error))

    threading.Thread(target=attempt, name="libvirt-call", daemon=True).start()
    try:
        is_good, value = outcome.get(timeout=timeout_s)
    except queue.Empty:
        is_over.set()
        raise TimeoutError(f"no answer within {timeout_s:.0f} s") from None
    if is_good:
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
