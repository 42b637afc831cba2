"""Numbers that may be trusted: each says what it measures and how sure it is."""
