# SPDX-License-Identifier: Apache-2.0
"""The audit: what disagrees between database, hosts and guests, and the reconcilers that repair it."""
