# SPDX-License-Identifier: Apache-2.0
"""What all tests of this folder begin with."""

from __future__ import annotations

from tests.support import rpc_threads

rpc_threads.end_soon()
