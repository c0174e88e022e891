"""Settings: what can be set, what is valid, and how a command's settings are composed."""
