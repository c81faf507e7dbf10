"""Privileges of the Mention family.

A token of Mention's is for the account of who has it and for no other; what
reaches every account is for those who come by `sg_authc.yml`.
"""

from __future__ import annotations

from accounts_service.access.action_groups import ActionGroups
from accounts_service.access.privileges import Privilege
from accounts_service.access.roles import Role

_OWN = "cluster:admin:mention:account/_own/"
_ALL = "cluster:admin:mention:account/_all/"


class MentionPrivilege(Privilege):
    """What can be asked for in Mention."""

    OWN_GET = _OWN + "get", "Read one's own account."
    OWN_PUT = _OWN + "put", "Change one's own account."
    OWN_DELETE = _OWN + "delete", "Delete one's own account."
    OWN_POST = _OWN + "post", "Make accounts for others, who alone can read and change them then."
    OWN_APPS_GET = _OWN + "apps/get", "List the apps that act for oneself."
    OWN_APPS_DELETE = _OWN + "apps/delete", "End what an app may do for oneself."
    ALL_GET = _ALL + "get", "Read every account."
    ALL_PUT = _ALL + "put", "Change every account; its password needs the old one all the same."
    ALL_DELETE = _ALL + "delete", "Delete every account."
    ALL_APPS_GET = _ALL + "apps/get", "List the apps that act for any account."
    ALL_APPS_DELETE = _ALL + "apps/delete", "End what an app may do for any account."
    ALL_POST = _ALL + "post", "Make accounts."


OWNER = "MENTION_OWNER"
ADMIN = "MENTION_ADMIN"

ACTION_GROUPS: ActionGroups = {OWNER: (_OWN + "*",), ADMIN: (_ALL + "*",)}

ROLES = {name: Role(cluster_permissions=(name,)) for name in ACTION_GROUPS}
