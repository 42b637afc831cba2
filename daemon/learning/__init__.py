"""What Sluice has learnt, and what that says of a window."""
