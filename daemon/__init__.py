"""Sluice: a stream goes through, the most valuable utterances stay."""
