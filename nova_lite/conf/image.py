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

The default, 64 GiB, allows images of usual servers. Lower it to
protect the file system of `store_path`, which has no other limit
per project.
"""),
]
