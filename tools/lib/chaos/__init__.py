# SPDX-License-Identifier: Apache-2.0
"""Faults under load, and what they cost: the work of tools/chaos."""
