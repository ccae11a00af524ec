# SPDX-License-Identifier: Apache-2.0
"""[console]: what the proxies of all consoles share."""

from oslo_config import cfg

GROUP = "console"
OPTIONS = [
    cfg.ListOpt("allowed_origins", default=[],
                help="Host names of other web sites whose pages may open consoles; the proxy's own always may."),
]
