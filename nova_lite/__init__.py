# SPDX-License-Identifier: Apache-2.0
"""An OpenStack Compute API cloud: API services, conductor, scheduler, and workers."""

import os

__version__ = "0.2.0"

# oslo.messaging imports eventlet wherever it runs; eventlet would import a resolver of its own that nothing here uses.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
