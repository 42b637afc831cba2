"""One lane from records to parts: windows, what is gathered of them, and the ledger. Pure."""
