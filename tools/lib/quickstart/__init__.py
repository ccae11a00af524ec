# SPDX-License-Identifier: Apache-2.0
"""The quickstart, in the order of its steps: setup.py prepares the machine, resources.py and server.py use the cloud."""
