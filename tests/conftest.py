# SPDX-License-Identifier: Apache-2.0
"""Which tests may run beside others: those of real parts share this machine, so they run one after the other."""

from __future__ import annotations

import pytest

_REAL = ("tests/system/", "tests/contract/", "tests/migrations/")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """With pytest-xdist, keep the tests of real parts in one process, first as they take longest, and each other file in one."""
    if items and items[0].config.getoption("dist", "no") != "no":
        items.sort(key=lambda item: not item.nodeid.startswith(_REAL))
    for item in items:
        file = item.nodeid.partition("::")[0]
        item.add_marker(pytest.mark.xdist_group("real parts" if file.startswith(_REAL) else file))
