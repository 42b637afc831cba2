"""What is decided once: genesis, editions, pins, and who waits for what."""
