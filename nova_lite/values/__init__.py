# SPDX-License-Identifier: Apache-2.0
"""Values that all services share: no options, no database, no messages."""
