# SPDX-License-Identifier: Apache-2.0
"""The threads of RPC servers in the process of the tests."""

from __future__ import annotations

from futurist import _thread


def end_soon() -> None:
    """A server that stops waits until its idle threads look whether they are to end: by default once a second."""
    _thread.ThreadWorker.MAX_IDLE_FOR = 0.05
