"""What a controller must say of the processing, by the data map: to subjects, and in its own record.

``disclosure``: beside a subject's data (Art. 15). ``processing_record``: the record of Art. 30.
``gaps``: what the map leaves unsaid. Not here: the data themselves (``export``).
"""

__all__ = ["disclosure", "gaps", "processing_record"]
