# SPDX-License-Identifier: Apache-2.0
"""Quotas, limits and usage."""
