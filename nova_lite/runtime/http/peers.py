# SPDX-License-Identifier: Apache-2.0
"""Processes that accept from one listening socket share its connections evenly: one that has more hands a new one on.

The kernel wakes the process that began to wait first, as long as it is idle, so that one may get nearly all connections.
"""

from __future__ import annotations

import ctypes
import mmap
import socket
import time
from collections.abc import Callable
from typing import Final

# Numbers of each process, in memory that all share and only that process writes: how many connections it has, when its front
# thread said so, how many it has taken that others accepted, and how many it has handed on to each of them.
_COUNT, _SAID_AT, _TAKEN, _HANDED_ON = range(4)
# A process that has not said so for longer is stopped or overwhelmed: it gets none from others, and they take back what lies before it.
# Its front says it twice a second.
_FRESH_S: Final = 1.0


class Peers:
    """Made before the processes are forked; each takes its own `Peer`. `count`: how many processes."""

    def __init__(self, count: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        rows = ctypes.c_double * (_HANDED_ON + count) * count
        self._rows = rows.from_buffer(mmap.mmap(-1, ctypes.sizeof(rows)))
        # The parent keeps both ends: what is on its way to a process that ends is taken by the one that replaces it.
        self._ways = [socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM) for _ in range(count)]
        for receiving, sending in self._ways:
            receiving.settimeout(0)
            sending.settimeout(0)

    def peer(self, number: int) -> Peer:
        """What process `number`, from 0, needs."""
        return Peer(number, self._rows, self._ways, clock=self._clock)

    def close(self) -> None:
        """When no process needs them."""
        for ends in self._ways:
            for end in ends:
                end.close()


class Peer:
    """One process among its peers. All is called by its front thread."""

    def __init__(
        self, number: int, rows: ctypes.Array[ctypes.Array[ctypes.c_double]], ways: list[tuple[socket.socket, socket.socket]], *,
        clock: Callable[[], float],
    ) -> None:
        self._number, self._rows, self._own = number, rows, rows[number]
        self._ways, self._inbox, self._clock = ways, ways[number][0], clock
        self._others = [other for other in range(len(ways)) if other != number]
        self._taken = self._own[_TAKEN]

    def fileno(self) -> int:
        """Readable: `take` has a connection."""
        return self._inbox.fileno()

    def say(self, count: int) -> None:
        """This process has so many connections, with those that it has taken, and is alive."""
        self._own[_COUNT] = count
        self._own[_TAKEN] = self._taken
        self._own[_SAID_AT] = self._clock()

    def leave(self) -> None:
        """This process takes no more."""
        self._own[_SAID_AT] = 0

    def hand_on(self, accepted: socket.socket, count: int) -> bool:
        """Give the connection to a process that has fewer than `count`, this one's; False: it stays here."""
        fewest = min(self._others, key=self.connections, default=self._number)
        if fewest == self._number or self.connections(fewest) >= count:
            return False
        try:
            socket.send_fds(self._ways[fewest][1], [b"."], [accepted.fileno()])
        except OSError:  # so many are on their way already
            return False
        self._own[_HANDED_ON + fewest] += 1
        accepted.close()
        return True

    def take(self) -> socket.socket | None:
        """A connection that another process has handed on; None: there is none."""
        while (descriptors := _receive(self._inbox)) is not None:
            self._taken += 1
            if descriptors:
                return socket.socket(fileno=descriptors[0])
        return None

    def take_back(self) -> socket.socket | None:
        """A connection that lies before a process which takes none; None: there is none."""
        for other in self._others:
            while self._is_silent(other) and (descriptors := _receive(self._ways[other][0])) is not None:
                self._own[_HANDED_ON + other] -= 1
                if descriptors:
                    return socket.socket(fileno=descriptors[0])
        return None

    def connections(self, number: int) -> float:
        """How many process `number` has or will have when it takes what is on its way; infinitely many: it takes none."""
        row = self._rows[number]
        if self._is_silent(number):
            return float("inf")
        return row[_COUNT] - row[_TAKEN] + sum(one[_HANDED_ON + number] for one in self._rows)

    def _is_silent(self, number: int) -> bool:
        return self._clock() - self._rows[number][_SAID_AT] > _FRESH_S


def _receive(inbox: socket.socket) -> list[int] | None:
    """The descriptor of a connection; empty: it is lost, since this process may open no more files. None: nothing is there."""
    try:
        return list(socket.recv_fds(inbox, 1, 1, socket.MSG_CMSG_CLOEXEC)[1])
    except OSError:
        return None
