"""Reservoirs: what is kept of a stream, whatever the order it came in. Knows no speech.

The folder is the registry of kinds: a module with `build(capacity, quotas)` is one
(`balanced`, the product; `uniform` and `newest`, baselines to be beaten).
"""
