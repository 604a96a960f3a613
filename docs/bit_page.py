"""A hook of MkDocs: the bit page as the package makes it, beside the page that speaks of it. No copy is kept."""

from __future__ import annotations

from typing import Any

from mkdocs.structure.files import File, Files

from halfsim.teach.bits import page


def on_files(files: Files, config: Any) -> Files:
    files.append(File.generated(config, "bits/page.html", content=page()))
    return files
