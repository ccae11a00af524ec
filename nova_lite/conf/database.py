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
]
