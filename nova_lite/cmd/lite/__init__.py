# SPDX-License-Identifier: Apache-2.0
"""nova-lite: the operator's command, one module per subcommand."""
