"""What a process works with: engines, queues, pins to open, shards to make. Through ports only."""
