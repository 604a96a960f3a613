"""The remedies matrix: problems of half precision against what is said to help, each cell a few small real runs."""
