# SPDX-License-Identifier: Apache-2.0
"""Tools that start, drive and measure nova_lite; nothing in the product imports them."""
