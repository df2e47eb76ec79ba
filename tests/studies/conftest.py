import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tiny import bert, config, dev_file, finished, finished_v2, one_thread, settings, train_file  # noqa: F401
