# SPDX-License-Identifier: Apache-2.0
"""Filters that are regular expressions: no pattern of a tenant holds the process."""

from __future__ import annotations

import urllib.parse

import pytest

from tests.support.api import compute_api
from tests.support.api.compute_api import ComputeApi


def _names(api: ComputeApi, pattern: str, *, field: str = "name", user: str = "reader") -> list[str]:
    answer = api.get(f"/servers?{field}={urllib.parse.quote(pattern, safe='')}", user=user)
    assert answer.status == 200, answer.body
    return [server["name"] for server in answer.body["servers"]]


@pytest.mark.parametrize(("field", "pattern"), [
    ("name", "(a+)+$"), ("display_name", "^b(a+)+$"), ("name", "^(.|..)+$Z"),
])
def test_a_pattern_that_backtracks_without_end_is_answered(api: ComputeApi, field: str, pattern: str) -> None:
    compute_api.boot(api, name="b" + "a" * 60 + "!")
    assert _names(api, pattern, field=field) == []


@pytest.mark.parametrize("field", ["hostname", "description"])
def test_an_admins_filters_are_bounded_too(api: ComputeApi, field: str) -> None:
    compute_api.boot(api, name="a" * 60 + "-1b", description="a" * 60 + "!", version="2.19")
    answer = api.get(f"/servers?all_tenants=1&{field}=(a%2B)%2B%24", user="admin")
    assert (answer.status, answer.body["servers"]) == (200, [])


def test_an_address_pattern_is_bounded_too(api: ComputeApi) -> None:
    name = compute_api.boot(api)
    found = api.get("/servers?ip=%5E10%5C.0%5C.").body["servers"]
    assert [server["id"] for server in found] == [name]
    assert api.get("/servers?ip=(%5B0-9.%5D%2B)%2B%21").body["servers"] == []


@pytest.mark.parametrize("pattern", ["(" * 200, "(?i:" * 60, "(a)\\1", "a" * 256, "((a{255}){255}){255}", "a**"])
def test_a_pattern_beyond_the_bounds_is_400(api: ComputeApi, pattern: str) -> None:
    answer = api.get(f"/servers?name={urllib.parse.quote(pattern, safe='')}")
    assert answer.status == 400
    assert "regex" in compute_api.message(answer)


def test_a_flavors_pattern_is_bounded_too(api: ComputeApi) -> None:
    assert api.get("/flavors?name=(m%2B)%2B%24", version="2.102").status == 200
    assert api.get(f"/flavors?name={'(' * 200}", version="2.102").status == 400
