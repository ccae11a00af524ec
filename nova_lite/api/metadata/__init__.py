# SPDX-License-Identifier: Apache-2.0
"""The metadata service of guests, served by nova-network on each host."""
