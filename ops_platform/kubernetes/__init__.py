"""Resources of Kubernetes made from files of ours: rules, scrape targets and dashboards.

``python -m ops_platform.kubernetes`` prints them. The processes' own manifests are in ``deploy/kubernetes``.
"""

__all__: list[str] = []
