"""What `sluice doctor` looks at: whether a deployment is well, and what its scores cost here."""
