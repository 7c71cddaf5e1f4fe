"""What is wrong with an environment: probes side by side, and the scenarios that they speak for."""
