"""From counts to findings: what a run lost, where, and what to do."""
