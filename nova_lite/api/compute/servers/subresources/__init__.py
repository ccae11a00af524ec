# SPDX-License-Identifier: Apache-2.0
"""What lies below one server's path: metadata, tags, NICs, instance actions, migrations."""
