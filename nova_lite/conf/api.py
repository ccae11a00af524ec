# SPDX-License-Identifier: Apache-2.0
"""[api]: the WSGI faces."""

from oslo_config import cfg

GROUP = "api"
OPTIONS = [
    cfg.StrOpt("auth_strategy", default="local", choices=["local", "keystone"],
               help="Who checks tokens: the built-in identity face, or a Keystone through keystonemiddleware."),
    cfg.StrOpt("listen", default="127.0.0.1", help="Address that nova-api listens on."),
    cfg.PortOpt("port", default=8774, help="Port that nova-api listens on; all faces share it, each under its own path."),
    cfg.IntOpt("workers", default=2, min=1, help="Processes of nova-api."),
    cfg.IntOpt("threads", default=32, min=1, help="Requests that one process serves at once."),
    cfg.StrOpt("public_url", default="", help="URL that clients reach nova-api by, without a path; empty: from listen and port."),
    cfg.IntOpt("max_request_body_size", default=114688, help="Bytes of a request body (image data excepted), as in Nova."),
    cfg.IntOpt("max_limit", default=1000, min=1, help="Most items of one page."),
    cfg.StrOpt("region", default="RegionOne", help="Region name in the catalog."),
]
