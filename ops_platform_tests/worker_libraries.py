"""Libraries that the workers' code imports when it first needs them, loaded before workers are forked.

``worker_process`` preloads this module last. What is loaded by then stays, so the garbage collector of a
forked worker need not look through it, which would also copy its pages.
"""

from __future__ import annotations

import gc

import cryptography.hazmat.primitives.ciphers.aead  # noqa: F401
import redis.asyncio  # noqa: F401

import ops_platform.gdpr.erasure.cache  # noqa: F401
from ops_platform.clients.object_store.client_session import client_session

# The first client of a session loads botocore and the model of S3.
client_session().client("s3", "us-east-1", aws_access_key_id="-", aws_secret_access_key="-").close()
gc.collect()
gc.freeze()
