"""One file a verb, thin: options to words, words to the rooms below, the answer to a report."""
