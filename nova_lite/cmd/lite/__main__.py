# SPDX-License-Identifier: Apache-2.0
"""`python -m nova_lite.cmd.lite`: how `nova-lite up --background` starts itself, in this release and in 0.1."""

from nova_lite.cmd.lite.main import main

main()
