# SPDX-License-Identifier: Apache-2.0
"""What makes an API service: its resources, how it words faults, its microversions."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType

from routes import Mapper
from sqlalchemy.orm import Session

from nova_lite.api.wsgi.policy import Target
from nova_lite.api.wsgi.request import Body
from nova_lite.api.wsgi.routing import Route, routes_of
from nova_lite.api.wsgi.rules import Rule
from nova_lite.api.wsgi.versions import Negotiation, Version
from nova_lite.context import Context

UNVERSIONED = Version(2, 0)  # of services without microversions
# Where the WSGI server does not give the path as it was sent, slashes of a tag are among those of the path.
_TAG = {"tag": r"[\s\S]+"}


@dataclasses.dataclass(frozen=True)
class ApiService:
    """One service of the API, which one application serves.

    `has_project_path`: every path may be prefixed by a project id. `version_document(base_url)`: the document of the
    root. `owner(session, ctxt, path variables)`: the owner of the resource that the path names, for policies that
    depend on it. `extra_rules`: what handlers check beside their route's own.
    `takes_trailing_slash`: `/networks/` is `/networks`, as in Neutron; else it is an empty id, and not found.
    """

    name: str
    resources: Sequence[ModuleType]
    fault_body: Callable[[int, str], Body]
    negotiation: Negotiation | None = None
    has_project_path: bool = False
    version_document: Callable[[str], Body] | None = None
    owner: Callable[[Session, Context, Mapping[str, str]], Target | None] | None = None
    extra_rules: Sequence[Rule] = ()
    takes_trailing_slash: bool = True

    @functools.cached_property
    def routes(self) -> list[Route]:
        """The routes of all resources."""
        return routes_of(self.resources)

    @functools.cached_property
    def routes_by_path(self) -> dict[str, list[Route]]:
        """The routes of each path; those without variables first: `/servers/detail` is no id."""
        found: dict[str, list[Route]] = {}
        for route in sorted(self.routes, key=lambda route: route.path.count("{")):
            found.setdefault(route.path, []).append(route)
        return found

    @functools.cached_property
    def mapper(self) -> Mapper:
        """Finds the `route_path` of a path, and its variables; one for all applications of the service."""
        made = Mapper(always_scan=False, register=False)
        made.minimization = False
        for path in self.routes_by_path:
            made.connect(path, path, route_path=path, requirements=_TAG if "{tag}" in path else {})
        made.create_regs()
        return made

    @property
    def rules(self) -> list[Rule]:
        """The rules of all routes, and those that handlers check beside them."""
        return [*(route.policy for route in self.routes), *self.extra_rules]
