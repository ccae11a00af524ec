# SPDX-License-Identifier: Apache-2.0
"""Tables of the network API: networks, ports, routers, addresses, security groups."""
