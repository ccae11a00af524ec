# SPDX-License-Identifier: Apache-2.0
"""Which tests may run beside others: those of real parts share this machine, so they run one after the other."""

from __future__ import annotations

from typing import Any

import pytest

_REAL = ("tests/system/", "tests/contract/", "tests/migrations/")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """In a process of pytest-xdist, the tests of real parts come first: they take longest."""
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: not item.nodeid.startswith(_REAL))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:  # noqa: ANN401 - pytest-xdist's types
    """All tests of real parts go to one process; every other file is a piece of its own.

    pytest-xdist 3.8's own groups are lost on pytest 9.2, which does not let it rename tests.
    """
    from xdist.scheduler import LoadScopeScheduling

    class ByParts(LoadScopeScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return "real parts" if nodeid.startswith(_REAL) else nodeid.partition("::")[0]

    return ByParts(config, log)
