# SPDX-License-Identifier: Apache-2.0
"""[notifications]: notifications about servers and volumes. [oslo_messaging_notifications] has the driver and the message bus."""

from oslo_config import cfg

GROUP = "notifications"
OPTIONS = [
    cfg.StrOpt("notification_format", default="unversioned", choices=[
        ("unversioned", "none are sent: the unversioned format does not exist here"),
        ("versioned", "Nova's versioned notifications"),
        ("both", "the same as versioned"),
    ], help="""
Format of notifications, with Nova's values.

Set versioned, and `[oslo_messaging_notifications] driver` to
messagingv2, where programs consume them. Each action then costs two
or three messages after its commit; nobody waits for them. Those about
volumes are Cinder's, which have no versions: they go to the topics of
`[oslo_messaging_notifications]`.
"""),
    cfg.ListOpt("versioned_notifications_topics", default=["versioned_notifications"], help="""
Topics of versioned notifications; each receives all of them.

The default is Nova's. Add one topic for each further consumer: two
consumers of one topic share its messages.
"""),
]
