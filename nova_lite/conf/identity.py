# SPDX-License-Identifier: Apache-2.0
"""[identity]: the built-in identity face."""

from oslo_config import cfg

GROUP = "identity"
OPTIONS = [
    cfg.StrOpt("key_repository", default="", help="Directory of Fernet keys; empty: fernet-keys in state_path."),
    cfg.IntOpt("token_expiration", default=3600, min=60, help="Seconds that a token is good for."),
    cfg.FloatOpt(
        "token_cache_time",
        default=5.0,
        min=0.0,
        max=60.0,
        help="Seconds that an API process trusts a token before it looks again whether it was revoked.",
    ),
    cfg.StrOpt(
        "admin_password_file",
        default="",
        help="File with the first admin's password; empty: made in state_path.",
    ),
]
