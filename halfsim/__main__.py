"""`python -m halfsim`."""

import sys

from halfsim.cli import main

sys.exit(main())
