# SPDX-License-Identifier: Apache-2.0
"""Domain XML, written by pure functions."""
