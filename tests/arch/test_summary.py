# SPDX-License-Identifier: Apache-2.0
"""The closing summary counts functions and generated cases apart and says where the time went."""

from __future__ import annotations

from tests.conftest import summary


def test_functions_and_generated_cases_are_counted_apart() -> None:
    lines = summary([("tests/unit/a.py::one", 1.0), ("tests/unit/a.py::two[x]", 2.0), ("tests/unit/a.py::two[y]", 2.0)])
    assert lines[0] == "2 test functions: 1 single tests, and 2 cases generated from the other 1"


def test_time_is_summed_by_folder_the_longest_first() -> None:
    lines = summary([("tests/unit/a.py::one", 1.0), ("tests/system/real/b.py::two", 5.0), ("tests/system/real/b.py::two", 2.0)])
    assert [line.split() for line in lines[1:]] == [["7.0", "s", "tests/system/real"], ["1.0", "s", "tests/unit"]]
