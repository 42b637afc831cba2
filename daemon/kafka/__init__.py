"""A member of a Kafka consumer group: how it is configured, connects, and reads its lanes."""
