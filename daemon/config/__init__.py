"""The one configuration file: its shape, what it means, and how it explains itself."""
