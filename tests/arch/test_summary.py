# SPDX-License-Identifier: Apache-2.0
"""The closing summary counts functions and generated cases apart and says where the time went; the schedule names what is there."""

from __future__ import annotations

from tests.conftest import GUESTS, PACKET_TESTS, PACKETS, PIECES, piece_of, summary
from tests.support.paths import ROOT


def test_functions_and_generated_cases_are_counted_apart() -> None:
    lines = summary([("tests/unit/a.py::one", 1.0), ("tests/unit/a.py::two[x]", 2.0), ("tests/unit/a.py::two[y]", 2.0)])
    assert lines[0] == "2 test functions: 1 single tests, and 2 cases generated from the other 1"


def test_time_is_summed_by_folder_the_longest_first() -> None:
    lines = summary([("tests/unit/a.py::one", 1.0), ("tests/system/real/b.py::two", 5.0), ("tests/system/real/b.py::two", 2.0)])
    assert [line.split() for line in lines[1:]] == [["7.0", "s", "tests/system/real"], ["1.0", "s", "tests/unit"]]


def test_every_place_that_the_schedule_names_is_there() -> None:
    assert [place for place in {*PIECES, *PACKET_TESTS} - {PACKETS} if not (ROOT / place).exists()] == []


def test_a_new_file_is_in_the_piece_of_its_folder_where_tests_take_turns() -> None:
    assert piece_of("tests/system/real/test_new.py::test_b[c]") == GUESTS
    assert piece_of("tests/system/real/test_network_worker.py::test_a") == PACKETS
    assert piece_of("tests/system/cluster/test_new.py::test_a") == piece_of("tests/system/install/test_quickstart.py::test_a") == "tests/system/"
    assert piece_of("tests/system/cluster/test_races.py::test_a") == "tests/system/cluster/test_races.py"
    assert piece_of("tests/system/clients/test_misuse.py::test_a") == "tests/system/clients/"
    assert piece_of("tests/unit/test_context.py::test_a") == "tests/unit/test_context.py"
