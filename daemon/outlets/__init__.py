"""Kinds of outlets, one file each: where dead letters and announcements go."""
