"""What a probe may ask: whether the loop turns, whether work can be done, what the numbers are."""
