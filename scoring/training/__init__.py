"""The reference trainer: small, repeatable to the last bit, on a CPU."""
