"""Measure updates of several processes and fit what they cost: python scripts/cost_model.py --help."""

from benchmarking.cost_model import main

if __name__ == "__main__":
    main()
