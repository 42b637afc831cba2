"""Training on a user's data: what is trained, and the folder that one training leaves."""
