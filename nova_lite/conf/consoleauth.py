# SPDX-License-Identifier: Apache-2.0
"""[consoleauth]: tokens that open consoles."""

from oslo_config import cfg

GROUP = "consoleauth"
OPTIONS = [
    cfg.IntOpt("token_ttl", default=600, min=1,
               help="Seconds in which a console's URL must be opened; what is open stays open."),
]
