"""What every page is made of: a style, a heatmap of attention, charts, and templates. Imports no torch."""
