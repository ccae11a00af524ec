# SPDX-License-Identifier: Apache-2.0
"""Proxies to other services, and APIs that Nova removed."""
