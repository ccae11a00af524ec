# SPDX-License-Identifier: Apache-2.0
"""Remote consoles and their tokens."""
