# SPDX-License-Identifier: Apache-2.0
"""[database]: the SQL database of the API services and the control plane; workers have none."""

from oslo_config import cfg

GROUP = "database"
OPTIONS = [
    cfg.StrOpt("connection", secret=True, default="", help="""
SQLAlchemy URL of the database, such as
postgresql+psycopg2://USER:PASSWORD@HOST/NAME or
mysql+pymysql://USER:PASSWORD@HOST/NAME?charset=utf8mb4.

Empty, the default: the SQLite file nova-lite.sqlite in
`state_path`, enough for an all-in-one cloud. Daemons on several
hosts need PostgreSQL or MariaDB. Run `nova-lite db sync` after a
change: rows are not copied from the old database.
"""),
    cfg.IntOpt("max_pool_size", default=16, min=1, help="""
Maximum number of connections in each of a process's two pools, one
for reads and one for transactions. SQLite ignores it.

A thread that finds all in use waits up to 30 seconds. Raise it
together with `[api] threads` or `[conductor] workers`; the server
must allow twice this number for every process of nova-api,
nova-conductor, nova-scheduler and the console proxies.
"""),
    cfg.IntOpt("connect_timeout", default=5, min=2, help="""
Time to establish a connection to PostgreSQL or MariaDB, in seconds.

nova-api gives up earlier, see `[api] database_timeout`. Raise it for
a server that many processes connect to at once.
"""),
    cfg.IntOpt("tcp_user_timeout", default=20, min=1, help="""
Time for which data sent to PostgreSQL may stay unacknowledged, in
seconds; then the connection is taken for lost. An idle connection
is probed after as long.

Without it the kernel tries for a quarter of an hour after a
database host has gone without a word. Raise it where the network
stands still for longer.
"""),
    cfg.BoolOpt("prepared_statements", default=True, help="""
Whether a connection to PostgreSQL prepares the statements that it
runs often, so that the server plans them once and not at each use.
SQLite and MariaDB ignore it.

It saves about a third of PostgreSQL's CPU per boot and two thirds
per GET, and costs PostgreSQL about 0.6 MiB of memory for each
connection. Set it to false behind a pooler that lends its
connections for a transaction or a statement, such as PgBouncer with
`pool_mode = transaction`: it does not keep what PREPARE makes, and
requests would be answered with 503 at times. `pg_stat_activity`
shows a prepared statement as EXECUTE with its name; set it to false
while you need the texts there.
"""),
]
