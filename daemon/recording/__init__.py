"""Recordings: the folder format of a recorded stream, its writers and its readers."""
