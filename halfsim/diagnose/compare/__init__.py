"""Two runs, or two models, held against each other result by result, and where they part."""
