# SPDX-License-Identifier: Apache-2.0
"""[vnc]: screens of guests, in a browser."""

from oslo_config import cfg

GROUP = "vnc"
OPTIONS = [
    cfg.BoolOpt("enabled", default=True, help="Whether guests have a screen and users may look at it."),
    cfg.StrOpt("novncproxy_base_url", default="",
               help="URL of noVNC that users are given, a token is added; empty: vnc_lite.html where nova-novncproxy listens."),
    cfg.StrOpt("novncproxy_host", default="127.0.0.1", help="Address that nova-novncproxy listens on."),
    cfg.PortOpt("novncproxy_port", default=6080, help="Port that nova-novncproxy listens on."),
    cfg.StrOpt("web", default="/usr/share/novnc", help="Directory of noVNC's files, as Debian's package novnc has them."),
]
