"""The deployment on Kubernetes, as far as it can be held against schemas and our own files."""
