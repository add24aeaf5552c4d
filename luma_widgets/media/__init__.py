"""Pictures to upload and results to download: checked by content, whole or not at all."""
