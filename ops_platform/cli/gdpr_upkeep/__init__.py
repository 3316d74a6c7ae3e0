"""Commands of ``ops-platform gdpr`` that are about no single request: what a controller keeps up.

Legal holds, retention and the record of processing. Not here: erasures and exports (``cli.gdpr``).
"""

__all__ = ["legal_hold", "processing_record", "retention"]
