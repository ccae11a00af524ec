# SPDX-License-Identifier: Apache-2.0
"""[notifications]: what is told on the message bus about servers. [oslo_messaging_notifications] says how, and where."""

from oslo_config import cfg

GROUP = "notifications"
OPTIONS = [
    cfg.StrOpt("notification_format", default="unversioned", choices=["unversioned", "versioned", "both"],
               help="Versioned notifications are sent by the latter two, if [oslo_messaging_notifications] driver is "
                    "set (messagingv2). Unversioned ones are never sent."),
    cfg.ListOpt("versioned_notifications_topics", default=["versioned_notifications"],
                help="Topics of versioned notifications; each gets all of them."),
]
