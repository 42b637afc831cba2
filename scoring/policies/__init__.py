"""Policies: one file per kind. They turn scores on the grid into weights, in integers."""
