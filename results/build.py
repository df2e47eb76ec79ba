"""Publish a finished study in this folder: `python results/build.py STUDY NAME`, where its data is at hand.

Under a name that is there, a study of the same protocol adds its methods to those. Then
`python docs/generate.py --figures` writes what the docs say of it.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from published import publish


def main() -> None:
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    study, name = sys.argv[1:]
    target = Path(__file__).parent / name
    print(publish(Path(study), target))
    size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
    print(f"{target}: {size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
