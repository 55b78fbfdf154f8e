"""Verdicts: on blocks by probes (``judge``), on all tensors of a problem together (``settle``)."""
