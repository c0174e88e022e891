"""The project's own English-German parallel corpus, generated from a lexicon and a small grammar."""
