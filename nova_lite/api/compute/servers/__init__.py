# SPDX-License-Identifier: Apache-2.0
"""Servers: create, list, show, change, delete."""
