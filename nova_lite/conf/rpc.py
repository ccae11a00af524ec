# SPDX-License-Identifier: Apache-2.0
"""[rpc]: how daemons know that a message on the bus is from the cloud."""

from oslo_config import cfg

GROUP = "rpc"
OPTIONS = [
    cfg.StrOpt("secret_file", default="", help="""
File with the key that authenticates messages between daemons,
readable by their user only.

Either the cloud's secret, on one line as `nova-lite keys rpc` makes
it, which every nova-api, nova-conductor and nova-scheduler needs; or
the key of one host, of `nova-lite keys rpc --host NAME`, for its
workers: who takes over that host can then command no other.

Empty, the default: messages are neither signed nor verified, and
who can publish on the message broker commands every host.
`nova-lite up` keeps messages in its process and needs none. Clocks
of hosts must agree within two minutes. Costs a few microseconds per
message.
"""),
    cfg.BoolOpt("allow_unsigned", default=False, help="""
Whether unsigned messages are accepted although secret_file is set;
signed ones are verified all the same.

Set it to true on every daemon while the secret is distributed, and
then to false, the default, so that no daemon refuses another.
"""),
]
