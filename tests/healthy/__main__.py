"""Print the catalogue, as Markdown: ``python -m tests.healthy``."""

from tests.healthy.catalogue import RUNS, listing

if __name__ == "__main__":
    print(f"{len(RUNS)} runs:\n")
    print(listing())
