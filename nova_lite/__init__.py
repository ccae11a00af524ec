# SPDX-License-Identifier: Apache-2.0
"""A compute cloud that any OpenStack client can drive."""

import os

# oslo.messaging imports eventlet wherever it runs; eventlet would import a resolver of its own that nothing here asks.
os.environ.setdefault("EVENTLET_NO_GREENDNS", "yes")
