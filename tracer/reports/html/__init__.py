"""A report as one page that needs nothing else, neither network nor framework, and says what other reports say."""
