"""What DESIGN's numbers are measured with: ratios, side by side, in one run."""
