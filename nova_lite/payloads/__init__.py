# SPDX-License-Identifier: Apache-2.0
"""Rows turned into what crosses the message bus."""
