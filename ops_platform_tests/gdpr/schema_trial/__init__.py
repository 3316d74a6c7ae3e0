"""The trial of a data map on any schema: a draft is edited, a person is erased, and plain SQL judges it.

``python -m ops_platform_tests.gdpr.schema_trial --help``. Schemas of others are no part of this project: it
takes the path of one.
"""
