# SPDX-License-Identifier: Apache-2.0
"""The Compute API's version documents, as Nova words them."""

from __future__ import annotations

from nova_lite.api.compute.microversions import MAXIMUM, MINIMUM
from nova_lite.api.wsgi.request import Body

_UPDATED = {"v2.0": "2011-01-21T11:33:21Z", "v2.1": "2013-07-23T11:33:21Z"}  # Nova's own dates
_V2, _V21 = ("v2.0", "v2", "SUPPORTED", "", ""), ("v2.1", "v2.1", "CURRENT", MAXIMUM, MINIMUM)
_Entry = tuple[str, str, str, str, str]


def versions(base_url: str) -> Body:
    """`GET /`: both versions; `base_url` is the URL of the root."""
    root = base_url.rstrip("/")
    return {"versions": [_document(entry, f"{root}/{entry[1]}/") for entry in (_V2, _V21)]}


def version(base_url: str) -> Body:
    """`GET /v2.1` or `/v2`: the one version that `base_url` ends in."""
    entry = _V2 if base_url.rstrip("/").endswith("/v2") else _V21
    document = _document(entry, f"{base_url.rstrip('/')}/")
    document["links"].append({
        "rel": "describedby", "type": "text/html", "href": "http://docs.openstack.org/"})
    if entry is _V21:  # RFC 8631
        document["links"].append({"rel": "service-desc", "type": "application/vnd.oai.openapi+json;version=3.1",
                                   "href": f"{base_url.rstrip('/')}/openapi.json"})
    return {"version": {**document, "media-types": [_media_type(entry)]}}


def choices(root_url: str, path: str) -> list[Body]:
    """The choices for another unversioned path: the same path below each version."""
    return [
        {"id": entry[0], "status": entry[2], "media-types": [_media_type(entry)],
         "links": [{"rel": "self", "href": f"{root_url.rstrip('/')}/{entry[1]}{path}"}]}
        for entry in (_V2, _V21)]


def _document(entry: _Entry, href: str) -> Body:
    name, _, status, maximum, minimum = entry
    return {"id": name, "status": status, "version": maximum, "min_version": minimum, "updated": _UPDATED[name],
            "links": [{"rel": "self", "href": href}]}


def _media_type(entry: _Entry) -> Body:
    kind = "2" if entry is _V2 else "2.1"
    return {"base": "application/json", "type": f"application/vnd.openstack.compute+json;version={kind}"}
