"""serving: does something about it. Commands, the store, the HTTP service."""
