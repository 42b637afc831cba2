"""Scores: one file per kind. A larger score is a more valuable row, but in null controls."""
