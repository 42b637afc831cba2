"""Selection for people with a data set instead of a topic."""
