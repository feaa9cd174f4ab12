"""A folder of clips through one task: files in, files out, in this process, without Ray and without a server."""
