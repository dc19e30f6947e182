"""ml: what is likely, and how sure. Frames in, frames out; never a connection."""
