"""The command line: thin. A subcommand a file; each imports its stage only inside the function that runs it."""
