"""From settings to objects, a module for each consumer: translating needs nothing of training."""
