import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "results"), str(ROOT / "docs"), str(ROOT / "tests" / "reports")]
