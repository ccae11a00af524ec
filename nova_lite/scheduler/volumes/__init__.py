# SPDX-License-Identifier: Apache-2.0
"""Chooses pools for volumes: a view of what workers report, filters with reasons, and weighers."""
