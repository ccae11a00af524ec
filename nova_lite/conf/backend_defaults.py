# SPDX-License-Identifier: Apache-2.0
"""[backend_defaults]: a backend of nova-volume. The section of each backend, of the name that `enabled_backends` has, takes the same
options; what it does not set is as here."""

from oslo_config import cfg

GROUP = "backend_defaults"
OPTIONS = [
    cfg.StrOpt("volume_driver", default="auto", choices=[
        ("auto", "fake where `[compute] driver` is fake, otherwise directory"),
        ("directory", "files in a directory of this host, which its own guests open"),
        ("tgt", "files in a directory of this host, exported to all hosts by iSCSI (tgt)"),
        ("fake", "volumes in memory only, for tests of clients and of scale"),
    ], help="""
What keeps the backend's volumes.

The default needs no preparation. Do not change it while the backend
has volumes: each driver finds only its own.
"""),
    cfg.StrOpt("volume_backend_name", default="", help="""
Name of the backend's kind, which volume types may require by the
extra spec `volume_backend_name`.

Empty, the default: the name of its section. Give backends of the
same kind on several hosts the same name.
"""),
    cfg.StrOpt("pool_path", default="", help="""
Directory of the backend's volumes.

Empty, the default: `volumes` in `state_path`, or `volumes-NAME` for
a backend of another name than local. Set it to use another file
system: on XFS and btrfs volumes are raw files, and their snapshots
and clones share blocks; on others they are qcow2 files. Move the
directory with the daemon and all guests stopped.
"""),
    cfg.StrOpt("target_ip_address", default="", help="""
IP address at which hosts reach the iSCSI target of driver tgt.

Empty, the default: `my_ip`. Set it to keep storage traffic on a
network of its own. Not a name: a lookup would stop guests.
"""),
    cfg.PortOpt("target_port", default=3260, help="""
TCP port of the iSCSI target of driver tgt.

The default is that of RFC 7143. Each backend of a host needs its
own; open it to the compute hosts only.
"""),
    cfg.StrOpt("target_prefix", default="iqn.2010-10.org.openstack:", help="""
Prefix of the names of iSCSI targets, to which the attachment's id
is added.

The default is Cinder's. Change it where a site has its own naming
authority, while no volume is attached.
"""),
    cfg.IntOpt("reserved_percentage", default=0, min=0, max=100, help="""
Part of the pool that is not given to volumes, as a ratio of its
size in percent.

The default is Cinder's. Raise it where other data is on the same
file system, such as guests' disks and images. The scheduler counts
the promised sizes of thin volumes against what is left, times
`max_over_subscription_ratio`.
"""),
    cfg.FloatOpt("max_over_subscription_ratio", default=20.0, min=1.0, help="""
Ratio of the sizes promised to volumes to the size of the pool, at
most.

The default is Cinder's and suits volumes that stay mostly empty.
Lower it where volumes fill up: a pool without space stops the guests
that write to it. 1.0 promises no more than there is.
"""),
    cfg.IntOpt("min_free_gb", default=1, min=0, help="""
Space in GiB that must really be free in the pool for a volume or
snapshot to be made or extended.

The default keeps guests able to write while an operator reacts.
Raise it for larger or busier pools: with shared blocks even writing
to what was written before needs new space. 0 makes volumes until
nothing is free.
"""),
]
