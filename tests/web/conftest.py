import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # made_panel.py, made_studies.py

from made_panel import client, make  # noqa: F401
