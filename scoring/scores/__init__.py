"""Scores: one file per kind. A larger score is a more valuable row, in every file."""
