"""From parts to shards: merge, assembly, and reading back what decided them."""
