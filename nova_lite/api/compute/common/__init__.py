# SPDX-License-Identifier: Apache-2.0
"""What the resources of the Compute API share: schemas, links, faults, policy checks."""
