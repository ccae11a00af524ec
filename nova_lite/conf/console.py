# SPDX-License-Identifier: Apache-2.0
"""[console]: options of both console proxies."""

from oslo_config import cfg

GROUP = "console"
OPTIONS = [
    cfg.ListOpt("allowed_origins", default=[], help="""
Host names of web sites, besides the proxy's own, whose pages may
open consoles (the Origin header of the WebSocket request).

Empty, the default: only the proxy's own. Add the host name of a
dashboard that embeds consoles: without it browsers are refused with
403. Pages of such a site can use any console whose URL they have.
"""),
]
