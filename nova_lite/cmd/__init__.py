# SPDX-License-Identifier: Apache-2.0
"""The processes: the only place that uses the global options."""

import warnings

# Upstream announces eventlet's end at every import of oslo libraries; docs/decisions/0002 has our answer.
warnings.filterwarnings("ignore", category=DeprecationWarning)
warnings.filterwarnings("ignore", message=r"(?s).*[Ee]ventlet.*")
