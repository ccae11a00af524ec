# SPDX-License-Identifier: Apache-2.0
"""[consoleauth]: tokens in the URLs of consoles."""

from oslo_config import cfg

GROUP = "consoleauth"
OPTIONS = [
    cfg.IntOpt("token_ttl", default=600, min=1, help="""
Time within which the URL of a console must be opened, in seconds;
an open console stays open.

The default is Nova's. Lower it where URLs may leak into logs or
histories: a URL is all that access to a console takes. Read by
nova-api.
"""),
]
