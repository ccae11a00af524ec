# SPDX-License-Identifier: Apache-2.0
"""What the workers of compute, network and volume share: programs, files, tombstones and locks of one host."""
