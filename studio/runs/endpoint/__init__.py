"""A chat's models for other programs on this computer: OpenAI's protocol on a loopback port, off by default."""
