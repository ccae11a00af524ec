# SPDX-License-Identifier: Apache-2.0
"""RPC endpoints of the volume worker, one for each family of operations."""
