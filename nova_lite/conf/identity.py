# SPDX-License-Identifier: Apache-2.0
"""[identity]: the built-in identity face."""

from oslo_config import cfg

GROUP = "identity"
OPTIONS = [
    cfg.StrOpt("key_repository", default="", help="Directory of Fernet keys; empty: fernet-keys in state_path."),
    cfg.IntOpt("token_expiration", default=3600, min=60, help="Seconds that a token is good for."),
    cfg.StrOpt("admin_password_file", default="", help="File with the first admin's password; empty: made in state_path."),
]
