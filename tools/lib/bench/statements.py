# SPDX-License-Identifier: Apache-2.0
"""Prints how many statements a PostgreSQL of tools/bench_cloud has run: `python -m tools.lib.bench.statements STATE`."""

import sys
from pathlib import Path

from tools.lib.services import Postgres

_COUNT = "SELECT coalesce(sum(calls), 0)::bigint FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid WHERE d.datname = 'nova'"

if __name__ == "__main__":
    database = Postgres(Path(sys.argv[1]) / "postgres")
    database.sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
    print(database.sql(_COUNT).strip())
