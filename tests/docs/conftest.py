import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))  # blocks.py, generate.py and methods_page.py
sys.path.insert(0, str(Path(__file__).parents[1] / "methods"))  # cells.py
