"""The command line, a file per subcommand. Each imports its stage only in the function that runs it."""
