"""`python -m spantune` is the command line."""

from spantune.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
