# SPDX-License-Identifier: Apache-2.0
"""The filters of the paste file, which every request passes before its application: request ids, tokens, size limits."""
