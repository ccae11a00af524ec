# SPDX-License-Identifier: Apache-2.0
"""[conductor]: nova-conductor, which runs the workflows and the reconcilers."""

from oslo_config import cfg

GROUP = "conductor"
OPTIONS = [
    cfg.IntOpt("workers", default=16, min=1, help="""
Number of threads for the steps of workflows in one conductor; more
steps wait in order. An action that waits for a worker's report uses
none.

The default matches `[database] max_pool_size`. Raise it, with the
pool, where actions queue although hosts and database are idle, or
start another conductor. Each costs a thread and, during a step, a
database connection.
"""),
    cfg.IntOpt("lease_s", default=10, min=5, help="""
Time after which other conductors may take over the actions, and the
part of the reconcilers' work, of one that has stopped renewing its
leases, in seconds.

Leases are renewed three times in that period. The default resumes
the work of a dead conductor within seconds. Raise it where the
database is slow or hosts pause: a conductor that loses its lease
while it is alive repeats a step.
"""),
    cfg.IntOpt("reconcile_interval", default=5, min=1, help="""
Interval between two runs of the reconcilers, in seconds: timers,
deferred deletes, leftovers. Rarer ones run at a multiple of it
(network state and claims each 12th time, purge each 720th). Lost
casts and expired leases are looked for at least every 2 seconds.

The default bounds the delay after a lost message. Each run costs
some queries, of one conductor however many there are; raise it where
these are noticed and slower recovery is acceptable.
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
it; after that time the action fails, unless the host reports that
it is executing it. The default allows for the restart of a worker.
Lower values report a dead host to the user sooner.
"""),
    cfg.IntOpt("build_timeout", default=7200, min=60, help="""
Maximum time of a create, over all hosts on which it is attempted,
in seconds.

After that time its resources are removed and the server goes to
ERROR. The default allows for the download of a large image over a
slow network. It also bounds how long creates wait for a database,
message bus or scheduler that is unavailable; lower values report
that to the user sooner.
"""),
    cfg.IntOpt("long_action_timeout", default=14400, min=60, help="""
Maximum time of all other actions (resize, rebuild, shelve,
snapshot, delete, ...), in seconds.

After that time the action is undone; one that cannot be undone
fails, and the server's fault names what remains on which host. The
default is longer than the copy of a large disk takes. Lower it
where disks are small and users should see failures sooner.
"""),
]
