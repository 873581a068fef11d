"""Demonstrations: on disk, in memory, in batches, and from other formats."""
