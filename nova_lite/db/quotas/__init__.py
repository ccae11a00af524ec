# SPDX-License-Identifier: Apache-2.0
"""Tables of limits, and the locks under which usage is counted."""
