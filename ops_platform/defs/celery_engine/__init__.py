"""Runs on workers of Celery, for ``deploy/celery/dagster.yaml``.

Here are the queue of each run, the run coordinator and the launcher, and the worker itself,
``python -m ops_platform.defs.celery_engine``. Needs the extra ``celery``; nothing outside imports it.
That a worker died is noticed as in ``defs.launcher``.
"""

__all__: list[str] = []
