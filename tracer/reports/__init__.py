"""One file a report: a document to a text or a picture; nothing here measures or judges."""
