"""The command line: one command per file; each parses, calls the library, prints."""
