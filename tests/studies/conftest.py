import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

from stand_ins import no_plots, study  # noqa: E402, F401
from tiny import one_thread  # noqa: E402, F401
