# SPDX-License-Identifier: Apache-2.0
"""What the resources of the Block Storage API share."""
