# SPDX-License-Identifier: Apache-2.0
"""tools/cluster: settings.py is what a cluster keeps, host.py one compute host, cluster.py all of it, main.py the words."""
