"""Half precision at work on real data: applications measured on the simulated unit."""
