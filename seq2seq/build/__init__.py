"""From settings to objects, a module for each purpose: translating needs nothing of training."""
