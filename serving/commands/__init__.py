"""The commands, by room. ``serving.cli`` imports one of these only when its command runs."""
