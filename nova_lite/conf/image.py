# SPDX-License-Identifier: Apache-2.0
"""[image]: the built-in image service."""

from oslo_config import cfg

GROUP = "image"
OPTIONS = [
    cfg.StrOpt("store_path", default="", help="""
Directory of image files.

Empty, the default: `images` in `state_path`. Processes of nova-api
on several hosts need one directory that all of them mount. Move the
files with it: an image whose file is missing cannot be downloaded.
"""),
    cfg.IntOpt("max_image_size", default=64 * 1024**3, min=1, help="""
Maximum size of one image, in bytes; a larger upload is answered
with 413 and leaves no file.

The default, 64 GiB, allows images of usual servers.
`[quota] image_size_total` limits all images of a project together.
"""),
    cfg.IntOpt("store_reserve", default=1024, min=0, help="""
Space that uploads leave free on the file system of `store_path`, in
MiB, but at most a tenth of the file system.

An upload that would need it is answered with 413. Raise it where the
database or logs are on the same file system: without free space
nothing can be written there.
"""),
]
