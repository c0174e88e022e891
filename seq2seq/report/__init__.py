"""Pages that people read: what an evaluation found, how a training went, how runs compare. Imports no torch."""
