# SPDX-License-Identifier: Apache-2.0
"""[image]: the built-in image face."""

from oslo_config import cfg

GROUP = "image"
OPTIONS = [
    cfg.StrOpt("store_path", default="", help="Directory of image files; empty: images in state_path."),
    cfg.IntOpt("max_image_size", default=64 * 1024**3, help="Bytes of one image."),
]
