# SPDX-License-Identifier: Apache-2.0
"""Schemas, links, faults and policy checks that the resources of the Compute API share."""
