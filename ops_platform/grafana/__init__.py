"""Grafana's dashboards as code: ``python -m ops_platform.grafana`` writes ``dashboards/grafana/dashboards``.

Needs ``grafana-foundation-sdk``, of the extra ``test``; nothing that runs imports this package.
"""

__all__: list[str] = []
