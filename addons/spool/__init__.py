"""Lines on disk that are written before an answer goes out and moved into the store in batches afterwards."""
