"""From parts to shards: the pool, late labels, the selection, rows and manifest. Pure."""
