# SPDX-License-Identifier: Apache-2.0
"""Names in paths are decoded once, however the WSGI server gives the path."""

from __future__ import annotations

import pytest
import webob

from nova_lite import errors
from nova_lite.api.wsgi.application import escaped_path

ROOT = "/network/v2.0"


@pytest.mark.parametrize(("server", "sent", "escaped"), [
    ({"RAW_PATH_INFO": f"{ROOT}/networks/n/tags/%2f"}, "//", "/networks/n/tags/%2F"),
    ({"RAW_URI": f"{ROOT}//networks/n/tags/a%252Fb?x=/"}, "/a%2Fb", "/networks/n/tags/a%252Fb"),
    ({"REQUEST_URI": f"{ROOT}/network%73/n/tags/%E2%98%83"}, "/☃", "/networks/n/tags/☃"),
    ({"RAW_URI": f"{ROOT}/networks/n/tags/"}, "/", "/networks/n/tags/"),
    ({"RAW_URI": "/networ%6B/v2.0/networks/n/tags/a%25"}, "/a%", "/networks/n/tags/a%25"),
    ({"RAW_PATH_INFO": "/network/v2%2E0/networks/n/tags/%2F"}, "//", "/networks/n/tags/%2F"),
    ({"RAW_PATH_INFO": "//%6Eetwork//v2.0//networks/n/tags/a%2Fb"}, "/a/b", "/networks/n/tags/a%2Fb"),
    ({"RAW_PATH_INFO": "/network%2Fv2.0/networks/n/tags/%2F"}, "//", "/networks/n/tags/%2F"),
    ({}, "/a/b%", "/networks/n/tags/a/b%25"),
    ({"REQUEST_URI": f"/cloud{ROOT}/networks/n/tags/a%20b"}, "/a b", "/networks/n/tags/a b"),  # a proxy before it has taken off /cloud
    ({"RAW_URI": f"http://cloud{ROOT}/networks/n/tags/a%20b"}, "/a b", "/networks/n/tags/a b"),  # gunicorn gives the whole URL
])
def test_slashes_and_percent_signs_of_names_stay_escaped(server: dict[str, str], sent: str, escaped: str) -> None:
    environ = {"SCRIPT_NAME": ROOT, "PATH_INFO": f"/networks/n/tags{sent}".encode().decode("latin-1"), "REQUEST_METHOD": "DELETE", **server}
    assert escaped_path(webob.Request(environ)) == escaped


@pytest.mark.parametrize("sent", [
    "/network/v2.0%2Fnetworks/n/tags/%2F", "%2Fnetwork/v2.0/networks/n/tags/%2F", "/%2Fnetwork/v2.0/networks/n/tags/a"])
def test_a_services_root_with_an_escaped_slash_is_not_found(sent: str) -> None:
    environ = {"SCRIPT_NAME": ROOT, "PATH_INFO": "/networks/n/tags//", "REQUEST_METHOD": "DELETE", "RAW_PATH_INFO": sent}
    with pytest.raises(errors.NotFound):
        escaped_path(webob.Request(environ))
