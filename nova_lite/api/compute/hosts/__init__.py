# SPDX-License-Identifier: Apache-2.0
"""Hosts, hypervisors, services, aggregates and availability zones."""
