# SPDX-License-Identifier: Apache-2.0
"""[database]: where rows are kept."""

from oslo_config import cfg

GROUP = "database"
OPTIONS = [
    cfg.StrOpt("connection", secret=True, default="",
               help="SQLAlchemy URL; empty: sqlite in state_path. postgresql+psycopg2://… or mysql+pymysql://…"),
    cfg.IntOpt("max_pool_size", default=16, min=1, help="Connections that one process keeps."),
]
