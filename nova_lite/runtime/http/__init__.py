# SPDX-License-Identifier: Apache-2.0
"""The HTTP/1.1 server of nova-api on native threads; docs/decisions/0016 says why it is our own."""
