# SPDX-License-Identifier: Apache-2.0
"""[serial_console]: serial ports of guests, over websockets."""

from oslo_config import cfg

GROUP = "serial_console"
OPTIONS = [
    cfg.BoolOpt("enabled", default=True, help="Whether users may talk to the first serial port of their guests."),
    cfg.StrOpt("base_url", default="",
               help="ws:// or wss:// URL that users are given, a token is added; empty: where nova-serialproxy listens."),
    cfg.StrOpt("serialproxy_host", default="127.0.0.1", help="Address that nova-serialproxy listens on."),
    cfg.PortOpt("serialproxy_port", default=6083, help="Port that nova-serialproxy listens on."),
]
