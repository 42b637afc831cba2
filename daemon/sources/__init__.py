"""Kinds of sources, one file each: where records come from."""
