# SPDX-License-Identifier: Apache-2.0
"""Several processes that serve one listening socket share its connections; here they are servers of one process."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from nova_lite.runtime import concurrency
from nova_lite.runtime.http.peers import Peer, Peers
from tests.support.http_wires import connect, receive_until
from tests.support.wait import wait_until

REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


def _app(name: str) -> Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]:
    def answer(_environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Length", "2")])
        return [f"{name}.".encode()]

    return answer


@contextlib.contextmanager
def _serving(listener: socket.socket, name: str, peer: Peer) -> Iterator[None]:
    server = concurrency.HttpServer(_app(name), listener.dup(), threads=4, peer=peer)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.stop()
        thread.join(timeout=20)
        assert not thread.is_alive()


def _answer(wire: socket.socket) -> str:
    wire.sendall(REQUEST)
    return receive_until(wire, b".").decode()[-2]


def test_connections_that_stay_open_are_shared_evenly() -> None:
    listener = concurrency.listen("127.0.0.1", 0)
    port = listener.getsockname()[1]
    with contextlib.ExitStack() as stack, contextlib.closing(Peers(2)) as peers:
        for number, name in enumerate("AB"):
            stack.enter_context(_serving(listener, name, peers.peer(number)))
        wait_until(lambda: peers.peer(0).connections(0) == peers.peer(0).connections(1) == 0)
        listener.close()
        wires = [stack.enter_context(contextlib.closing(connect(port))) for _ in range(12)]
        answers = [_answer(wire) for wire in wires]
        assert sorted(Counter(answers).values()) in ([5, 7], [6, 6]), "two may accept at the same moment"
        assert [_answer(wire) for wire in wires] == answers, "each stays where it is"


def test_a_process_that_does_not_run_gets_none() -> None:
    listener = concurrency.listen("127.0.0.1", 0)
    with contextlib.ExitStack() as stack, contextlib.closing(Peers(2)) as peers:
        stack.enter_context(_serving(listener, "A", peers.peer(0)))
        wires = [stack.enter_context(contextlib.closing(connect(listener.getsockname()[1]))) for _ in range(6)]
        assert [_answer(wire) for wire in wires] == ["A"] * 6
        listener.close()


@contextlib.contextmanager
def _handed_on(peers: Peers) -> Iterator[tuple[socket.socket, socket.socket]]:
    """The listening socket, and the client of a connection that process 0 has accepted and handed on to process 1."""
    with contextlib.closing(concurrency.listen("127.0.0.1", 0)) as listener, contextlib.closing(connect(listener.getsockname()[1])) as wire:
        peers.peer(1).say(0)
        accepted, _ = listener.accept()
        assert peers.peer(0).hand_on(accepted, 3)
        yield listener, wire


def test_a_connection_on_its_way_to_a_process_that_ended_is_taken_by_its_successor() -> None:
    with contextlib.closing(Peers(2, clock=lambda: 100.0)) as peers, _handed_on(peers) as (listener, wire), _serving(listener, "B", peers.peer(1)):
        assert _answer(wire) == "B"
        wait_until(lambda: peers.peer(0).connections(1) == 1)


def test_who_has_not_more_than_the_others_keeps_it() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, contextlib.closing(Peers(3, clock=lambda: 100.0)) as peers:
        for number, count in enumerate((2, 2, 5)):
            peers.peer(number).say(count)
        assert not peers.peer(0).hand_on(ours, 2)
        assert peers.peer(2).hand_on(ours, 5)
        assert [peers.peer(0).connections(number) for number in range(3)] == [3, 2, 5], "it counts while it is on its way"


def test_what_lies_before_a_process_that_is_stopped_is_taken_back() -> None:
    now = [100.0]
    with contextlib.closing(Peers(2, clock=lambda: now[0])) as peers, _handed_on(peers) as (listener, wire):
        assert peers.peer(0).take_back() is None, "it has just said that it lives"
        now[0] += 2
        with _serving(listener, "A", peers.peer(0)):
            assert _answer(wire) == "A"
        peers.peer(1).say(0)
        assert peers.peer(0).connections(1) == 0


def test_a_connection_that_came_without_its_descriptor_does_not_count() -> None:
    with contextlib.closing(Peers(2, clock=lambda: 100.0)) as peers:
        one, other = peers.peer(0), peers.peer(1)
        other.say(0)
        one._ways[1][1].send(b".")  # as the kernel leaves it where a process may open no more files
        one._own[3 + 1] += 1
        assert (one.connections(1), other.take()) == (1, None)
        other.say(0)
        assert one.connections(1) == 0
        other.leave()
        assert one.connections(1) == float("inf")
