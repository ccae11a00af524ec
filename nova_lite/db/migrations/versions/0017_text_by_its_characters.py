# SPDX-License-Identifier: Apache-2.0
"""Text on MariaDB is compared by its characters, as on the other databases: not by case, accents and trailing spaces."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None

_TO = "CHARACTER SET utf8mb4 COLLATE utf8mb4_nopad_bin"
_FOLDING = """
    SELECT DISTINCT table_name FROM information_schema.columns JOIN information_schema.tables USING (table_schema, table_name)
    WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' AND collation_name NOT IN ('utf8mb4_nopad_bin', 'utf8mb4_bin')
    ORDER BY table_name"""
_KEYS = "SELECT table_name, constraint_name FROM information_schema.referential_constraints WHERE constraint_schema = DATABASE()"
# All foreign keys of this revision: table, column, the table whose id it is, and what happens when that is deleted.
_ALL_KEYS = (
    ("action_events", "action_id", "actions", ""), ("addresses", "port_id", "ports", "CASCADE"), ("addresses", "subnet_id", "subnets", ""),
    ("application_credential_roles", "credential_id", "application_credentials", "CASCADE"),
    ("application_credential_roles", "role_id", "roles", "CASCADE"), ("application_credentials", "project_id", "projects", "CASCADE"),
    ("application_credentials", "user_id", "users", "CASCADE"), ("floating_ips", "network_id", "networks", ""),
    ("floating_ips", "plug_id", "ports", "CASCADE"), ("floating_ips", "port_id", "ports", "SET NULL"),
    ("port_security_groups", "group_id", "security_groups", ""), ("port_security_groups", "port_id", "ports", "CASCADE"),
    ("ports", "network_id", "networks", ""), ("project_tags", "project_id", "projects", "CASCADE"), ("projects", "domain_id", "domains", ""),
    ("role_assignments", "project_id", "projects", "CASCADE"), ("role_assignments", "role_id", "roles", "CASCADE"),
    ("role_assignments", "user_id", "users", "CASCADE"), ("routers", "gateway_port_id", "ports", "SET NULL"),
    ("routers", "network_id", "networks", ""), ("security_group_rules", "group_id", "security_groups", "CASCADE"),
    ("subnets", "network_id", "networks", ""), ("users", "domain_id", "domains", ""),
)

# Ids that no foreign key holds to.
_WITHOUT_KEY = (("security_group_rules", "remote_group_id", "security_groups"), *(
    (table, "project_id", "projects") for table in ("networks", "subnets", "ports", "security_groups", "security_group_rules", "floating_ips", "routers")))


def upgrade() -> None:
    """Writes each table anew, without the foreign keys, which MariaDB lets nobody change; each statement commits by itself.

    A cut run is gone on with: what folds is looked up, and the keys that are missing are added again.
    """
    connection = op.get_bind()
    if connection.dialect.name not in ("mysql", "mariadb"):
        return
    op.execute(f"ALTER DATABASE {_TO}")
    tables = connection.scalars(sa.text(_FOLDING)).all()
    for table, column, referred in (*((table, column, referred) for table, column, referred, _ in _ALL_KEYS), *_WITHOUT_KEY):
        # What named a row in other letters, as clients did, shall name it afterwards too. A cut run had done all of this before it wrote a table.
        if {table, referred} <= set(tables):
            op.execute(f"UPDATE `{table}` AS t JOIN `{referred}` AS r ON t.`{column}` = r.id SET t.`{column}` = r.id "
                       f"WHERE BINARY t.`{column}` <> BINARY r.id")
    if tables:
        for table, key in connection.execute(sa.text(_KEYS)).all():
            op.execute(f"ALTER TABLE `{table}` DROP FOREIGN KEY IF EXISTS `{key}`")
    for table in tables:
        op.execute(f"ALTER TABLE `{table}` CONVERT TO {_TO}")
    present = {key for _, key in connection.execute(sa.text(_KEYS))}
    for table, column, referred, deleted in _ALL_KEYS:
        if f"fk_{table}_{column}" not in present:
            what_then = f" ON DELETE {deleted}" if deleted else ""
            op.execute(f"ALTER TABLE `{table}` ADD CONSTRAINT `fk_{table}_{column}` FOREIGN KEY (`{column}`) REFERENCES `{referred}` (id){what_then}")
