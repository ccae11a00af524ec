# SPDX-License-Identifier: Apache-2.0
"""The OpenAPI document of an API service that is made of one resource."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import openapi_spec_validator
import pytest

from nova_lite.api.wsgi import openapi
from nova_lite.api.wsgi.request import Body, Request
from nova_lite.api.wsgi.responses import INTEGER, STRING, Field, closed
from nova_lite.api.wsgi.routing import route
from nova_lite.api.wsgi.rules import MEMBER, Rule
from nova_lite.api.wsgi.service import UNVERSIONED, ApiService

FIELDS = (Field("id", id, STRING), Field("size_gb", id, INTEGER))


@pytest.fixture
def operation() -> dict[str, Any]:
    """The description of a made-up resource's only route, in a valid document."""
    widgets = ModuleType("widgets")

    @route("GET", "/widgets/{widget_id}", policy=Rule("widgets:show", MEMBER), response=closed(widget=FIELDS), additive=True)
    def show(req: Request, widget_id: str) -> Body:
        """Show one widget. 200. 404: no such widget in the project."""
        return {}

    show.__module__ = "widgets"
    vars(widgets)["show"] = show
    service = ApiService("widgets", (widgets,), lambda status, text: {"error": {"code": status, "message": text}})
    document = openapi.document(service, UNVERSIONED, "http://cloud/widgets")
    openapi_spec_validator.validate(document)
    return dict(document["paths"]["/widgets/{widget_id}"]["get"])


def test_a_success_has_the_schema_of_the_routes_response(operation: dict[str, Any]) -> None:
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == closed(widget=closed(id=STRING, size_gb=INTEGER))


def test_an_additive_route_is_marked(operation: dict[str, Any]) -> None:
    assert operation["x-nova-lite"][0]["additive"] is True


def test_the_description_is_the_docstring_and_the_summary_its_first_sentence(operation: dict[str, Any]) -> None:
    assert operation["summary"] == "Show one widget."
    assert operation["description"] == "Show one widget. 200. 404: no such widget in the project."
