# SPDX-License-Identifier: Apache-2.0
"""Tables of the Compute API: servers, what is done to them, and what they are made of."""
