# SPDX-License-Identifier: Apache-2.0
"""Policy checks: oslo.policy over the rules that routes declare, with an operator's overrides."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Iterable, Mapping

from oslo_config import cfg
from oslo_log import log as logging
from oslo_policy import _checks as checks
from oslo_policy import policy as oslo_policy

from nova_lite import errors
from nova_lite.api.wsgi.rules import IS_ADMIN, Rule, base_defaults, default_check
from nova_lite.context import Context

LOG = logging.getLogger(__name__)
Target = Mapping[str, str]  # `project_id` and `user_id` of the resource's owner
_MAX_CACHED = 4096


class Policy:
    """Decides on rules: by default the rule's role or an admin; `[oslo_policy] policy_file` overrides.

    The file may be missing, and is read again by the next request after it has changed. With one that cannot be read the
    process does not start; in a running process the last good rules stay in force.
    """

    def __init__(self, conf: cfg.ConfigOpts, rules: Iterable[Rule]) -> None:
        self._rules = {rule.name: rule for rule in rules}
        self._conf = conf
        self._path = _path_of(conf)
        self._cache: dict[tuple[str, frozenset[str]], bool] = {}
        self._by_role_only: dict[str, bool] = {}
        self._stamp = self._stat()
        self._enforcer = self._load()

    def check(self, rule: Rule, ctxt: Context, target: Target | None = None) -> None:
        """:raises errors.PolicyForbids: the caller may not."""
        if not self.allows(rule, ctxt, target):
            raise errors.PolicyForbids(rule=rule.name)

    def allows(self, rule: Rule, ctxt: Context, target: Target | None = None) -> bool:
        """Whether the caller may; `target` None: a resource of the caller's own. An undeclared rule is refused."""
        if target is not None:
            return rule.name in self._rules and self._enforce(rule.name, ctxt, target)
        key = (rule.name, ctxt.roles)
        cached = self._cache.get(key)
        if cached is not None:
            return cached
        is_allowed = rule.name in self._rules and self._enforce(rule.name, ctxt, _own(ctxt))
        if self._is_by_role_only(rule.name):
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            self._cache[key] = is_allowed
        return is_allowed

    def with_admin_override(self, ctxt: Context) -> Context:
        """The caller as the rule `context_is_admin` has it: an admin sees the resources of every project.

        The first check of a request: here a changed file is noticed.
        """
        self._reread_if_changed()
        key = (IS_ADMIN, ctxt.roles)
        is_admin = self._cache.get(key)
        if is_admin is None:
            is_admin = self._enforce(IS_ADMIN, ctxt, _own(ctxt))
            if self._is_by_role_only(IS_ADMIN):
                self._cache[key] = is_admin
        return ctxt if is_admin == ctxt.is_admin else dataclasses.replace(ctxt, admin_override=is_admin)

    def depends_on_owner(self, rule: Rule) -> bool:
        """Whether the check depends on the resource's owner, beyond the project that the caller sees anyway."""
        return rule.name in self._rules and not self._is_by_role_only(rule.name)

    def _enforce(self, name: str, ctxt: Context, target: Target) -> bool:
        credentials = {
            "roles": sorted(ctxt.roles),
            "user_id": ctxt.user_id,
            "project_id": ctxt.project_id,
            "domain_id": ctxt.domain_id,
            "is_admin": ctxt.is_admin,
        }
        return bool(self._enforcer.enforce(name, dict(target), credentials))

    def _is_by_role_only(self, name: str) -> bool:
        if name not in self._by_role_only:
            rule = self._enforcer.rules.get(name)
            self._by_role_only[name] = rule is None or self._reads_only_roles(rule, visited=frozenset({name}))
        return self._by_role_only[name]

    def _reads_only_roles(self, check: object, *, visited: frozenset[str]) -> bool:
        if isinstance(check, checks.TrueCheck | checks.FalseCheck):
            return True
        if isinstance(check, checks.AndCheck | checks.OrCheck):
            return all(self._reads_only_roles(part, visited=visited) for part in check.rules)
        if isinstance(check, checks.NotCheck):
            return self._reads_only_roles(check.rule, visited=visited)
        if isinstance(check, checks.RoleCheck):
            return "%" not in check.match
        if isinstance(check, checks.GenericCheck):
            return (check.kind, check.match) == ("project_id", "%(project_id)s")  # true of every resource that a caller sees
        if isinstance(check, checks.RuleCheck) and check.match not in visited:
            other = self._enforcer.rules.get(check.match)
            return other is not None and self._reads_only_roles(other, visited=visited | {check.match})
        return False

    def _reread_if_changed(self) -> None:
        stamp = self._stat()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._enforcer = self._load()
        except Exception:
            LOG.exception("policy file %s cannot be read; the previous rules stay in force", self._path)
            return
        self._cache.clear()
        self._by_role_only.clear()
        LOG.info("policy file %s: read again", self._path)

    def _load(self) -> oslo_policy.Enforcer:
        enforcer = oslo_policy.Enforcer(self._conf, policy_file=self._path)
        # One file: by default oslo.policy would read policy.d beside it as well.
        self._conf.set_default("policy_dirs", [], group="oslo_policy")
        enforcer.register_defaults(base_defaults())
        for rule in self._rules.values():
            enforcer.register_default(oslo_policy.RuleDefault(rule.name, default_check(rule)))
        enforcer.load_rules(force_reload=True)
        enforcer.use_conf = False  # this class watches the file: an invalid one must not replace good rules
        return enforcer

    def _stat(self) -> tuple[int, int, int] | None:
        try:
            stat = os.stat(self._path)
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino


def _own(ctxt: Context) -> Target:
    return {"user_id": ctxt.user_id, "project_id": ctxt.project_id}


def _path_of(conf: cfg.ConfigOpts) -> str:
    """The policy file's absolute path, also where it does not exist."""
    name = str(conf.oslo_policy.policy_file)
    if os.path.isabs(name):
        return name
    path = conf.find_file(name)
    if path:
        return os.path.abspath(path)
    files = conf.config_file or conf.default_config_files or []
    return os.path.join(os.path.dirname(os.path.abspath(files[0])) if files else "/etc/nova", name)
