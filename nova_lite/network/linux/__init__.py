# SPDX-License-Identifier: Apache-2.0
"""The Linux devices, processes and filters of a host's networks."""
