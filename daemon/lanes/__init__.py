"""One lane from records to parts: windows, what is gathered, and where a lane begins and ends."""
