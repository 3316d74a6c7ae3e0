"""Dagster's own processes under the platform's dagster.yaml: the queue, workers that die, retries."""
