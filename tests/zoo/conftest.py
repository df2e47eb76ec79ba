import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import bert, dev_file, finished, one_thread, settings, train_file  # noqa: F401
