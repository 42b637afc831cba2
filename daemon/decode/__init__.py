"""Bytes to utterances and answers: pure, total, and silent about what the bytes said."""
