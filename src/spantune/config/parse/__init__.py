"""From command line and YAML to a checked configuration."""
