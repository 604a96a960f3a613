"""What hypothesis calls as it starts, wherever halfsim is installed: it imports neither NumPy nor halfsim.

It stands outside the package because importing a module imports its package first. Where halfsim is imported before
hypothesis, its types are registered here; where it comes later, it finds this module and registers them itself.
"""

from __future__ import annotations

import sys


def register() -> None:
    """Lets annotations draw halfsim's types if the program has them already."""
    if "halfsim" in sys.modules:
        from halfsim.testing.registered import register

        register()
