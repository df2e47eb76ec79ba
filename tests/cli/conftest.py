import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import one_thread  # noqa: F401
