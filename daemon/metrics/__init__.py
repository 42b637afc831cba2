"""What Prometheus sees: one catalogue of series, their values, and who sets them."""
