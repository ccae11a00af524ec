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
    cfg.IntOpt("max_tokens_per_project", default=100, min=1, help="""
Maximum number of valid URLs of consoles of a project's servers.
Further ones are refused with 403 until earlier ones have expired
(`token_ttl`); of one server the newest 20 are valid.

Each is a row, and an entry in the memory of its host. Raise it for
a dashboard that opens very many consoles of one project. Read by
nova-api.
"""),
]
