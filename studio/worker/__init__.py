"""The process that opens strangers' files: its protocol, its server, and the client that asks it."""
