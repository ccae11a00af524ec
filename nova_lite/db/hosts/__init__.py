# SPDX-License-Identifier: Apache-2.0
"""Tables of compute hosts and daemons, aggregates and claims."""
