# SPDX-License-Identifier: Apache-2.0
"""Patterns of users on the three databases: the same servers are selected, and none costs more than a bounded time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from nova_lite.db import patterns
from nova_lite.db.base import Base
from nova_lite.db.compute import server_lists
from nova_lite.db.compute.server_lists import Filters
from nova_lite.db.compute.servers import Server
from nova_lite.db.engine import Database
from nova_lite.db.listing import ALL
from nova_lite.values.flavor import Flavor
from tests.support import databases

NAMES = ("web-1", "web-2", "Web-3", "db", "b" + "a" * 60 + "!", "a" * 250 + "!")


@pytest.fixture(scope="module", params=databases.ALL_KINDS)
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Database]:
    with databases.running(request.param, tmp_path_factory.mktemp(request.param)) as url:
        yield _filled(url)


def _filled(url: str) -> Database:
    database = Database(url)
    Base.metadata.create_all(database.engine)
    flavor = Flavor(id="1", name="f", vcpus=1, ram_mb=1, root_gb=1)
    with database.writer() as session:
        session.add_all([Server(project_id="p", user_id="u", name=name, hostname="s", flavor=flavor, vcpus=1, ram_mb=1,
                                total_gb=1, vm_state="active", reservation_id="r-1") for name in NAMES])
    return database


def _named(database: Database, pattern: str) -> set[str]:
    patterns.compiled(pattern)  # as the API does first
    with database.reader() as session:
        return {row.name for row in server_lists.find(session, Filters(patterns={"name": pattern}), page=ALL)}


@pytest.mark.parametrize(("pattern", "names"), [
    ("web", {"web-1", "web-2"}), ("(?i)web", {"web-1", "web-2", "Web-3"}), (r"^web-\d$", {"web-1", "web-2"}),
    ("^(db|web-[2-9])$", {"db", "web-2"}), ("^(a+)+$", set()), ("^(.|..)+$Z", set()), ("[[:upper:]]", {"Web-3"}),
])
def test_the_databases_select_the_same_servers(database: Database, pattern: str, names: set[str]) -> None:
    assert _named(database, pattern) == names


def test_a_pattern_that_would_backtrack_for_hours_ends(database: Database) -> None:
    try:
        found = _named(database, "(a?){120}a{120}$")
    except patterns.PatternError:
        found = set()  # MariaDB may give it up
    assert found == set()
    assert _named(database, "^db$") == {"db"}
