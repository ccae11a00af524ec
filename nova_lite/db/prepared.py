# SPDX-License-Identifier: Apache-2.0
"""Lets PostgreSQL plan once what a connection runs often: psycopg2 sends plain text, which is planned at each use.

A connection prepares a statement (PREPARE) when it has run it a few times, and from then on sends EXECUTE with the values.
Nothing else changes: values are declared as the types that they have as literals. docs/decisions/0025 has the reasons.
"""

from __future__ import annotations

import collections
import datetime
import decimal
import functools
import hashlib
import logging
import math
import re
from typing import Any, Final, NamedTuple

import psycopg2
import psycopg2.errors
import psycopg2.extensions

LOG = logging.getLogger(__name__)
# As psycopg 3's prepare_threshold and prepared_max. A plan takes 10 to 100 kB of the server's memory.
_AFTER: Final = 5
_MOST: Final = 100
_MOST_COUNTED: Final = 1000
# A longer one is a list, and other lists have other lengths.
_MOST_VALUES: Final = 100
_VERBS: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")
_PLACE: Final = re.compile(r"%(?:\(([^)]*)\)s|%)")
# PostgreSQL's types of the literals that psycopg2 makes; "unknown" is taken for what its place needs.
_TYPES: Final[dict[type, str]] = {str: "unknown", type(None): "unknown", bool: "boolean", decimal.Decimal: "numeric"}
# A statement with the names and the types of its values.
_Key = tuple[str, tuple[str, ...], tuple[str, ...]]


class _Statement(NamedTuple):
    """How it is prepared and run. `key` is the one copy that connections keep."""

    key: _Key
    name: str
    prepare: str
    execute: str


class _Cursor(psycopg2.extensions.cursor):  # type: ignore[misc]  # it has no types
    """Sends EXECUTE for what its connection has prepared."""

    def execute(self, query: Any, values: Any = None) -> None:  # psycopg2's types
        connection: Any = self.connection
        is_idle = connection.status == psycopg2.extensions.STATUS_READY
        key = _key(query, values) if connection.is_preparing and self.name is None else None
        text = None if key is None else connection.prepared(key)
        if text is None:
            super().execute(query, values)
            return
        try:
            super().execute(text, values)
        except (psycopg2.errors.FeatureNotSupported, psycopg2.errors.InvalidSqlStatementName) as error:
            connection.forget(error)
            if not is_idle:
                raise psycopg2.OperationalError(f"the transaction has to be repeated: {error}") from error
            connection.rollback()  # nothing but this was in it
            super().execute(query, values)


class Connection(psycopg2.extensions.connection):  # type: ignore[misc]  # as above
    """Counts what it runs, and keeps prepared what it has run often, up to a bound."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # psycopg2's
        super().__init__(*args, **kwargs)
        self.cursor_factory = _Cursor
        self.is_preparing = True
        self._uses: dict[int, int] = {}  # by hash, since texts of lists are long: one that is counted for another does no harm
        self._kept: collections.OrderedDict[_Key, _Statement | None] = collections.OrderedDict()  # None: cannot be prepared
        self._cleanup = ""  # goes before the next PREPARE

    def prepared(self, key: _Key) -> str | None:
        """The EXECUTE for this statement, which is prepared if it is time; None: send it as it is."""
        if key in self._kept:
            self._kept.move_to_end(key)
            kept = self._kept[key]
            return None if kept is None else kept.execute
        number = hash(key)
        uses = self._uses[number] = self._uses.pop(number, 0) + 1
        if uses <= _AFTER:
            if len(self._uses) > _MOST_COUNTED:
                del self._uses[next(iter(self._uses))]
            return None
        if len(self._kept) == _MOST:
            unused = self._kept.popitem(last=False)[1]
            self._cleanup += "" if unused is None else f"DEALLOCATE {unused.name}; "
        made = _statement(key)
        is_there = made is not None and self._prepare(made)
        del self._uses[number]
        if made is None or not is_there:
            self._kept[key] = None
            return None
        self._kept[made.key] = made
        return made.execute

    def forget(self, error: psycopg2.Error) -> None:
        """Prepare all anew, since the server says that a statement is not what it was, or is not there."""
        self._kept.clear()
        self._cleanup = "DEALLOCATE ALL; "
        if isinstance(error, psycopg2.errors.InvalidSqlStatementName):
            self.is_preparing = False
            LOG.warning("The database does not know a statement that was prepared on this connection; behind a pooler that lends "
                        "connections for transactions set [database] prepared_statements = false")

    def _prepare(self, made: _Statement) -> bool:
        """Whether the server takes it: sent as it is, it says by itself what is wrong. A transaction goes on in any case."""
        is_there, prepare = True, self._cleanup + made.prepare
        with self.cursor() as cursor:
            try:
                cursor.execute(prepare if self.autocommit else f"SAVEPOINT {made.name}; {prepare}; RELEASE {made.name}")
            except (psycopg2.ProgrammingError, psycopg2.DataError, psycopg2.NotSupportedError) as error:
                if not self.autocommit:
                    cursor.execute(f"ROLLBACK TO {made.name}; RELEASE {made.name}")
                # Its name says that it is the same.
                is_there = isinstance(error, psycopg2.errors.DuplicatePreparedStatement)
            except psycopg2.Error:  # such as a timeout: a statement that was given up here may be gone or not
                self._kept.clear()
                self._cleanup = "DEALLOCATE ALL; "
                raise
        self._cleanup = ""
        return is_there


def _key(query: Any, values: Any) -> _Key | None:
    """None: it is not to be prepared."""
    if not (isinstance(query, str) and isinstance(values, dict) and len(values) <= _MOST_VALUES and query.startswith(_VERBS)):
        return None
    types = tuple([_TYPES.get(type(value)) or _type(value) for value in values.values()])
    return None if "" in types else (query, tuple(values), types)


def _type(value: object) -> str:
    """As _TYPES, where the class alone does not say it; "" for others, which are not prepared."""
    if isinstance(value, int):
        return "integer" if value.bit_length() < 32 else "bigint" if value.bit_length() < 64 else "numeric"
    if isinstance(value, datetime.datetime):
        return "timestamp" if value.tzinfo is None else "timestamptz"
    if isinstance(value, float):
        return "numeric" if math.isfinite(value) else "double precision"
    return "unknown" if isinstance(value, str) else ""


@functools.lru_cache(maxsize=300)  # all connections of the process have the same texts
def _statement(key: _Key) -> _Statement | None:
    query, names, types = key
    numbers: dict[str, int] = {}

    def place(found: re.Match[str]) -> str:
        return "%" if found[1] is None else f"${numbers.setdefault(found[1], len(numbers) + 1)}"

    # Made of the content, so that not even a connection that is shared behind our back runs another statement.
    name = "nova_lite_" + hashlib.blake2b(repr(key).encode(), digest_size=12).hexdigest()
    body, type_of = _PLACE.sub(place, query), dict(zip(names, types, strict=True))
    if not numbers.keys() <= type_of.keys():
        return None
    declared, values = ", ".join(type_of[value] for value in numbers), ", ".join(f"%({value})s" for value in numbers)
    if not numbers:
        return _Statement(key, name, f"PREPARE {name} AS {body}", f"EXECUTE {name}")
    return _Statement(key, name, f"PREPARE {name} ({declared}) AS {body}", f"EXECUTE {name} ({values})")
