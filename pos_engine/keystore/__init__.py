"""Where the terminal master key lives; nothing above this package uses a key in clear."""
