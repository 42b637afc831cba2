"""What can be made again from the registry: the rolling reservoir, verification, explanations."""
