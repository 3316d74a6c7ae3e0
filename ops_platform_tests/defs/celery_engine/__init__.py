"""Runs on workers of Celery."""
