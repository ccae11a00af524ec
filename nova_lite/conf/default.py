# SPDX-License-Identifier: Apache-2.0
"""[DEFAULT]: options that every daemon reads."""

import socket

from oslo_config import cfg, types

GROUP = "DEFAULT"
OPTIONS = [
    cfg.StrOpt("host", default=socket.gethostname(), sample_default="<host name>", help="""
Name of this host on the message bus, in os-services and in
os-hypervisors.

The default is the machine's host name. Set it where that name may
change: a host that reports under a new name is a new host, and the
servers on it stay with the old one. Do not change it while the host
has servers.
"""),
    cfg.HostAddressOpt("my_ip", version=4, default="127.0.0.1", help="""
IPv4 address or host name at which other hosts reach this one.

Hypervisors are shown with it, and nova-compute listens on it for
the console proxies. The default serves a cloud on one machine only:
set it on every host of a cloud that has more.
"""),
    cfg.StrOpt("state_path", default="/var/lib/nova-lite", help="""
Directory of all files that must survive a restart: token keys, the
first admin's password, images, guests' disks, the records of
workers and, without `[database] connection`, the SQLite database.

Put it on a file system with space for images and disks, or move
those with `[image] store_path` and `[compute] instances_path`.
Records that are lost leave devices and files of this host without
an owner.
"""),
    cfg.IntOpt("report_interval", default=5, min=1, help="""
Interval between two heartbeats of a daemon, in seconds.

The default notices a dead host within `service_down_time` and costs
one message and one UPDATE per daemon and interval. Raise it, with
`service_down_time`, in a cloud of thousands of hosts; capacity and
power states are then reported later.
"""),
    cfg.IntOpt("service_down_time", default=20, min=2, help="""
Time since its last heartbeat after which a daemon counts as down,
in seconds.

The scheduler then places no server on its host and requests that
need it are refused. The default is four heartbeats: keep it at
least three times `report_interval`, or one lost message takes a
host out of service. Set the same value on all hosts that run
nova-api, nova-conductor or nova-scheduler. Lower values notice a
failure sooner; a slow message bus then looks like one.
"""),
    cfg.ListOpt("enabled_backends", default=["local"], item_type=types.String(regex=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$"), help="""
Names of the backends of nova-volume on this host, each of which may
have a section of its name with the options of `[backend_defaults]`.

The default, one backend, keeps volumes in a directory of this host.
Add names to offer several kinds of storage, which volume types
select. Do not remove one that has volumes.
"""),
    cfg.StrOpt("concurrency", default="auto", choices=[
        ("auto", "native threads"),
        ("threads", "native threads"),
        ("eventlet", "green threads of eventlet, which its maintainers retire"),
    ], help="""
How nova-api waits for the database and the message bus; all other
daemons always use native threads.

The default was measured faster
(docs/decisions/0002-native-threads-by-default.md). Choose eventlet only where a
site's own WSGI middleware depends on it.
"""),
    cfg.StrOpt("failpoints", default="", advanced=True, help="""
Failpoints to arm, for tests: `name=crash`, `name=error` or
`name=delay:SECONDS`, separated by commas.

Empty, the default, arms none. Never set it in production: an armed
failpoint ends or delays the daemon on purpose.
"""),
    cfg.StrOpt("paste_config", default="api-paste.ini", help="""
PasteDeploy file of the WSGI applications: an absolute path, or one
relative to the directory of nova.conf.

The package contains a file that serves all APIs. Use a copy of your
own to leave out services (image or identity, where Glance or
Keystone provide them) or to add middleware.
"""),
    cfg.StrOpt("default_volume_type", default="__DEFAULT__", help="""
Name of the type of volumes that are created without one, in
projects that have no default of their own.

The type `__DEFAULT__` is created with the first tables. Name a type
that exists, and that every project may use: without it no volume
can be created.
"""),
    cfg.IntOpt("quota_volumes", default=10, min=-1, help="""
Maximum number of volumes of a project. -1: no limit.

A volume in error counts until it is deleted. The name is Cinder's,
as of the next ones.
"""),
    cfg.IntOpt("quota_snapshots", default=10, min=-1, help="""
Maximum number of snapshots of volumes of a project. -1: no limit.

Each keeps the blocks that its volume has changed since, and makes
some pools slower.
"""),
    cfg.IntOpt("quota_gigabytes", default=1000, min=-1, help="""
Maximum size of all volumes and snapshots of a project, in GiB. -1:
no limit.

A snapshot counts with the size of its volume, unless
`no_snapshot_gb_quota` is set.
"""),
    cfg.IntOpt("quota_backups", default=10, min=-1, help="""
Maximum number of backups of a project. -1: no limit.

Each is a copy of a volume or of its changes.
"""),
    cfg.IntOpt("quota_backup_gigabytes", default=1000, min=-1, help="""
Maximum size of all backups of a project, in GiB. -1: no limit.

A backup counts with the size of its volume.
"""),
    cfg.IntOpt("quota_groups", default=10, min=-1, help="""
Maximum number of volume groups of a project. -1: no limit.

They cost little; the limit bounds mistakes of scripts.
"""),
    cfg.IntOpt("per_volume_size_limit", default=-1, min=-1, help="""
Maximum size of one volume, in GiB. -1, the default: no limit but
the project's.

Set it where a pool is made of smaller parts than a project may use.
"""),
    cfg.BoolOpt("no_snapshot_gb_quota", default=False, help="""
Snapshots do not count in `quota_gigabytes`.

Set it where pools share the blocks of snapshots with their volumes,
so that most of them cost little. A project may then have as many
GiB of snapshots as `quota_snapshots` allows.
"""),
    cfg.IntOpt("message_ttl", default=2592000, min=60, help="""
Time for which messages to users of block storage are kept, in
seconds.

They say why an accepted request failed. The default, 30 days, is
Cinder's; a project keeps its newest 1,000 at most.
"""),
    cfg.IntOpt("max_local_block_devices", default=3, min=-1, help="""
Maximum number of disks of a server that are on its host: its root
disk, and the ephemeral and swap disks that the request names.

The default is Nova's. 0 lets servers boot from volumes only, -1 means
no limit.
"""),
]
