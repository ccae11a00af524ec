# SPDX-License-Identifier: Apache-2.0
"""[conductor]: nova-conductor, which runs the workflows and the reconcilers."""

from oslo_config import cfg

GROUP = "conductor"
OPTIONS = [
    cfg.IntOpt("workers", default=16, min=1, help="""
Number of workflows that one conductor runs at the same time; the
others wait in order.

The default matches `[database] max_pool_size`. Raise it, with the
pool, where creates and resizes queue although hosts are idle, or
start another conductor. Each costs a thread and, during a step, a
database connection.
"""),
    cfg.IntOpt("lease_s", default=10, min=5, help="""
Time after which another conductor may take over the actions of one
that has stopped renewing its leases, in seconds.

Leases are renewed three times in that period. The default resumes
the work of a dead conductor within seconds. Raise it where the
database is slow or hosts pause: a conductor that loses its lease
while it is alive repeats a step.
"""),
    cfg.IntOpt("reconcile_interval", default=5, min=1, help="""
Interval between two runs of the reconcilers, in seconds: lost
casts, expired leases and timers. Rarer ones run at a multiple of it
(network state each 12th time, purge each 720th).

The default bounds the delay after a lost message. Each run costs
some queries per conductor; raise it where these are noticed and
slower recovery is acceptable.
"""),
    cfg.IntOpt("build_attempts", default=3, min=1, max=99, help="""
Maximum number of hosts on which a create is attempted before the
server goes to ERROR.

The default is Nova's. More attempts hide a broken host from users
and prolong the wait for the error; 1 reports the first failure at
once.
"""),
    cfg.IntOpt("purge_deleted_after_days", default=30, min=1, help="""
Time for which deleted servers and their actions are kept, in days.

Until then admins list them with `deleted=True` and usage reports
include them. The default covers a month of accounting; longer
periods cost rows in servers, actions and events.
"""),
    cfg.IntOpt("action_timeout", default=120, min=10, help="""
Maximum time of an action that is one operation of one host (pause,
stop, reboot, ...), in seconds.

Until then it is sent again while its host is down or does not have
it; past it the action fails, unless the host says that it is at
work on it. The default leaves a worker time to be restarted. Lower
values report a dead host to the user sooner.
"""),
    cfg.IntOpt("build_timeout", default=7200, min=60, help="""
Maximum time of a create, over all hosts that are tried, in seconds.

Past it what was made is removed and the server goes to ERROR. The
default leaves time to fetch a large image over a slow network; it
also bounds how long creates wait for a database, message bus or
scheduler that is away.
"""),
    cfg.IntOpt("long_action_timeout", default=14400, min=60, help="""
Maximum time of all other actions (resize, rebuild, shelve,
snapshot, delete, ...), in seconds.

Past it the action is undone; one that cannot be, or that can only
go forward, fails, and the server's fault says what is left where.
The default is longer than the copy of a large disk takes.
"""),
]
