# SPDX-License-Identifier: Apache-2.0
"""How a daemon notices that it is to end."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The process signals one of its own threads, as the kernel may do with a signal for the process.
PROGRAM = """
import signal, sys, threading, time
from nova_lite.cmd import daemon
def idle():
    time.sleep(60)
other = threading.Thread(target=idle, daemon=True)
other.start()
target = {"main": threading.main_thread(), "other": other}[sys.argv[1]]
def request():
    time.sleep(0.5)
    signal.pthread_kill(target.ident, signal.SIGTERM)
threading.Thread(target=request, daemon=True).start()
daemon.wait_for_signal()
print("to end")
"""


@pytest.mark.parametrize("thread", ["main", "other"])
def test_a_signal_is_heard_whichever_thread_gets_it(thread: str) -> None:
    ended = subprocess.run([sys.executable, "-W", "ignore", "-c", PROGRAM, thread], capture_output=True, text=True, timeout=30, check=False)
    assert ended.stdout == "to end\n", ended.stderr
