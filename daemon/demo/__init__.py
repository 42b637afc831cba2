"""The demo: a made-up house that talks, an annotator and a small trainer."""
