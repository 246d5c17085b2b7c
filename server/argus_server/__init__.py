"""The server: takes events, stores them once, ranks what they say."""
