"""Action groups: names for bundles of privileges, patterns and other groups.

`STATIC` holds Search Guard's own (docs.search-guard.com, "Built-in action
groups"); those of a family stand in its privileges.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeAlias

ActionGroups: TypeAlias = Mapping[str, tuple[str, ...]]


def resolve(names: Iterable[str], groups: ActionGroups) -> dict[str, str | None]:
    """Expand `names`: themselves and, for each that is a group, what it holds, to any depth.

    Returns every string reached with the group it was reached through (None
    for one of `names` itself), in the order of reaching. Cycles are fine, and a
    name that is no group stays a literal.
    """
    reached: dict[str, str | None] = dict.fromkeys(names)
    waiting = list(reached)
    for name in waiting:
        for member in groups.get(name, ()):
            if member not in reached:
                reached[member] = name
                waiting.append(member)
    return reached


def chain(name: str, reached: Mapping[str, str | None]) -> tuple[str, ...]:
    """Tell how `name` was reached: the listed name first, `name` last."""
    links = [name]
    while (parent := reached[links[-1]]) is not None:
        links.append(parent)
    return tuple(reversed(links))


STATIC: ActionGroups = MappingProxyType(
    {
        "SGS_KIBANA_ALL_WRITE": ("kibana:saved_objects/*/write",),
        "SGS_KIBANA_ALL_READ": ("kibana:saved_objects/*/read",),
        "SGS_CLUSTER_ALL": ("cluster:*",),
        "SGS_CRUD": ("SGS_READ", "SGS_WRITE"),
        "SGS_SEARCH": ("indices:data/read/search*", "indices:data/read/msearch*", "SGS_SUGGEST"),
        "SGS_DATA_ACCESS": ("indices:data/*", "SGS_CRUD"),
        "SGS_CREATE_INDEX": (
            "indices:admin/create",
            "indices:admin/mapping/put",
            "indices:admin/mapping/auto_put",
            "indices:admin/auto_create",
        ),
        "SGS_CREATE_DATA_STREAM": ("SGS_CREATE_INDEX", "indices:admin/data_stream/create"),
        "SGS_WRITE": ("indices:data/write*", "indices:admin/mapping/put", "indices:admin/mapping/auto_put"),
        "SGS_MANAGE_ALIASES": ("indices:admin/aliases*",),
        "SGS_READ": (
            "indices:data/read*",
            "indices:admin/mappings/fields/get*",
            "indices:admin/resolve/index",
            "indices:admin/analyze",
        ),
        "SGS_INDICES_ALL": ("indices:*",),
        "SGS_DELETE": ("indices:data/write/delete*",),
        "SGS_CLUSTER_COMPOSITE_OPS": (
            "indices:data/write/bulk",
            "indices:admin/aliases*",
            "indices:data/write/reindex",
            "SGS_CLUSTER_COMPOSITE_OPS_RO",
        ),
        "SGS_CLUSTER_COMPOSITE_OPS_RO": (
            "indices:data/read/mget",
            "indices:data/read/msearch",
            "indices:data/read/mtv",
            "indices:data/read/sql",
            "indices:data/read/sql/translate",
            "indices:data/read/sql/close_cursor",
            "indices:admin/aliases/exists*",
            "indices:admin/aliases/get*",
            "indices:data/read/scroll*",
            "indices:data/read/async_search/*",
            "cluster:monitor/async_search/status",
            "indices:data/read/close_point_in_time",
            "indices:data/read/sql/async/get",
        ),
        "SGS_GET": ("indices:data/read/get*", "indices:data/read/mget*"),
        "SGS_MANAGE": ("indices:monitor/*", "indices:admin/*"),
        "SGS_CLUSTER_MONITOR": ("cluster:monitor/*",),
        "SGS_MANAGE_SNAPSHOTS": ("cluster:admin/snapshot/*", "cluster:admin/repository/*"),
        "SGS_INDEX": (
            "indices:data/write/index*",
            "indices:data/write/update*",
            "indices:admin/mapping/put",
            "indices:admin/mapping/auto_put",
            "indices:data/write/bulk*",
        ),
        "SGS_UNLIMITED": ("*",),
        "SGS_INDICES_MONITOR": ("indices:monitor/*", "indices:admin/data_stream/get"),
        "SGS_SUGGEST": ("indices:data/read/suggest*",),
        "SGS_CLUSTER_MANAGE_ILM": ("cluster:admin/ilm/*",),
        "SGS_CLUSTER_READ_ILM": ("cluster:admin/ilm/get", "cluster:admin/ilm/operation_mode/get"),
        "SGS_INDICES_MANAGE_ILM": ("indices:admin/ilm/*",),
        "SGS_CLUSTER_MANAGE_INDEX_TEMPLATES": (
            "indices:admin/template/*",
            "indices:admin/index_template/*",
            "cluster:admin/component_template/*",
        ),
        "SGS_CLUSTER_MANAGE_PIPELINES": ("cluster:admin/ingest/pipeline/*",),
        "SGS_SEARCH_TEMPLATES": ("indices:data/read/search/template", "indices:data/read/msearch/template"),
        "SGS_PERSONAL_SESSIONS": (
            "cluster:admin:searchguard:login/session",
            "cluster:admin:searchguard:session/_own/get/extended",
            "cluster:admin:searchguard:session/_own/delete",
            "cluster:admin:searchguard:session/create",
        ),
        "SGS_MANAGE_DATA_STREAMS": ("indices:admin/data_stream/*", "indices:monitor/data_stream/*"),
        "SGS_MONITOR_DATA_STREAMS": ("indices:admin/data_stream/get", "indices:monitor/data_stream/*"),
        "SGS_CREATE_MANAGE_OWN_AUTH_TOKEN": (
            "cluster:admin:searchguard:authtoken/_own/create",
            "cluster:admin:searchguard:authtoken/_own/get",
            "cluster:admin:searchguard:authtoken/_own/revoke",
            "cluster:admin:searchguard:authtoken/_own/search",
            "cluster:admin:searchguard:authtoken/info",
        ),
        "SGS_MANAGE_ALL_AUTH_TOKEN": (
            "cluster:admin:searchguard:authtoken/_own/get",
            "cluster:admin:searchguard:authtoken/_own/revoke",
            "cluster:admin:searchguard:authtoken/_own/search",
            "cluster:admin:searchguard:authtoken/_all/get",
            "cluster:admin:searchguard:authtoken/_all/revoke",
            "cluster:admin:searchguard:authtoken/_all/search",
            "cluster:admin:searchguard:authtoken/info",
        ),
        "SGS_CLUSTER_SQL_READ": (
            "indices:data/read/sql",
            "indices:data/read/sql/close_cursor",
            "indices:data/read/close_point_in_time",
            "indices:data/read/sql/async/get",
            "indices:data/read/async_search/delete",
            "cluster:monitor/xpack/sql/async/status",
        ),
        "SGS_SQL_READ": (
            "indices:data/read/field_caps",
            "indices:data/read/open_point_in_time",
            "indices:data/read/search",
        ),
        "SGS_FAILURE_STORE_ACCESS": ("special:failure_store",),
    }
)
