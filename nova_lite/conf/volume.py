# SPDX-License-Identifier: Apache-2.0
"""[volume]: nova-volume, whatever its backends."""

from oslo_config import cfg

GROUP = "volume"
OPTIONS = [
    cfg.StrOpt("backup_driver", default="directory", choices=[
        ("directory", "files in a directory, `backup_path`"),
    ], help="""
What keeps the backups of volumes.

The default needs no other service. A backup can be restored only by
a nova-volume that reaches what has it.
"""),
    cfg.StrOpt("backup_path", default="", help="""
Directory of the backups of volumes.

Empty, the default: `backups` in `state_path`. Set it to use another
disk than that of the volumes, without which a backup is lost with
them; a file system that all storage hosts have mounted lets each of
them restore the backups of the others. Move the directory with the
daemon stopped.
"""),
    cfg.StrOpt("image_conversion_dir", default="", help="""
Directory of images while volumes are made from them.

Empty, the default: `conversion` in `state_path`. It needs space for
the largest images, as many at once as `max_concurrent_copies`; set
it to use a file system that has it. What is in it when nova-volume
starts is removed.
"""),
    cfg.IntOpt("image_timeout", default=30, min=1, help="""
Time without a byte from or to the image service after which a
transfer counts as broken, in seconds; it is attempted three times.

The default tolerates a busy image service. Raise it where storage
behind it pauses for longer; a dead one is then noticed later.
"""),
    cfg.IntOpt("image_convert_timeout", default=900, min=1, help="""
Maximum time of copying a volume or of converting an image, in
seconds; the volume or image then fails.

The default suffices for some hundred GiB on a usual disk. Raise it
for larger volumes or slower disks.
"""),
    cfg.IntOpt("max_concurrent_copies", default=2, min=1, help="""
Number of images that one nova-volume downloads, converts or uploads
at the same time; the others wait.

The default leaves a storage host of two cores able to serve its
volumes meanwhile. Raise it on faster ones; each may take 4 GiB of
memory for a hostile image.
"""),
]
