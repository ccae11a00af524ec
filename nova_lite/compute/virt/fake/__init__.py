# SPDX-License-Identifier: Apache-2.0
"""A driver of simulated guests in memory."""
