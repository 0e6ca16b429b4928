"""Programs on this computer that a finished export is handed over to."""
