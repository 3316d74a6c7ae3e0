"""Refreshing materialised views in order: until then they keep what was in the tables."""

from __future__ import annotations

from graphlib import TopologicalSorter

from psycopg import sql

from ops_platform.clients.postgres import Connection
from ops_platform.errors import ConfigurationError
from ops_platform.gdpr.data_map import DataMap, View
from ops_platform.gdpr.schema import Catalogue, Name


def preflight(data_map: DataMap, catalogue: Catalogue) -> None:
    """Raise ConfigurationError where this role could not refresh a view with personal columns in the end."""
    for view in _materialised(data_map, catalogue):
        if view.personal and not _refreshable(view, catalogue):
            privilege = f"EXECUTE ON FUNCTION {view.refresh}" if view.refresh else f"MAINTAIN ON {view.name}"
            raise ConfigurationError(
                f"this role cannot refresh {view.name}, which keeps personal data: GRANT {privilege} to it"
            )


def refreshed(data_map: DataMap, catalogue: Catalogue) -> set[Name]:
    """Select the materialised views that this role can refresh."""
    return {view.name for view in _materialised(data_map, catalogue) if _refreshable(view, catalogue)}


def refresh(connection: Connection, data_map: DataMap, catalogue: Catalogue) -> list[Name]:
    """Refresh all materialised views that this role can refresh, each after those it reads; returns them.

    Raises what psycopg raises.
    """
    views = {view.name: view for view in _materialised(data_map, catalogue) if _refreshable(view, catalogue)}
    order = [name for name in _order(connection, set(views)) if name in views]
    for name in order:
        function = views[name].refresh
        command = "REFRESH MATERIALIZED VIEW {}" if function is None else "SELECT {}()"
        connection.execute(sql.SQL(command).format((function or name).identifier))
    return order


def _materialised(data_map: DataMap, catalogue: Catalogue) -> list[View]:
    return [
        view
        for view in data_map.views.values()
        if (relation := catalogue.relations.get(view.name)) is not None and relation.kind == "matview"
    ]


def _refreshable(view: View, catalogue: Catalogue) -> bool:
    if view.refresh is not None:
        return catalogue.functions.get(view.refresh, False)
    return catalogue.relations[view.name].refreshable


def _order(connection: Connection, views: set[Name]) -> list[Name]:
    """Sort views after those they read, also through ordinary views."""
    sorter: TopologicalSorter[Name] = TopologicalSorter(dict.fromkeys(sorted(views), ()))
    rows = connection.execute(
        """
        SELECT DISTINCT rn.nspname AS schema, r.relname AS name, dn.nspname AS on_schema, o.relname AS on_name
        FROM pg_rewrite AS w
        JOIN pg_class AS r ON r.oid = w.ev_class JOIN pg_namespace AS rn ON rn.oid = r.relnamespace
        JOIN pg_depend AS d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid
                            AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> r.oid
        JOIN pg_class AS o ON o.oid = d.refobjid JOIN pg_namespace AS dn ON dn.oid = o.relnamespace
        WHERE r.relkind IN ('m', 'v') AND o.relkind IN ('m', 'v')
          AND rn.nspname NOT IN ('pg_catalog', 'information_schema')
        """
    )
    for row in rows:
        sorter.add(Name(row["schema"], row["name"]), Name(row["on_schema"], row["on_name"]))
    return list(sorter.static_order())
