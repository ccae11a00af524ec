# SPDX-License-Identifier: Apache-2.0
"""The checks of `nova-lite doctor`: each a function of the options that returns a finding."""
