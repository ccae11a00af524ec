# SPDX-License-Identifier: Apache-2.0
"""The faults: each breaks a part of a running cloud for some seconds, and leaves it whole."""

from tools.lib.chaos.faults import all_in_one, broker, daemons, database
from tools.lib.chaos.faults.registry import FAULTS, Fault

__all__ = ["FAULTS", "Fault", "all_in_one", "broker", "daemons", "database"]
