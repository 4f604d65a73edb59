"""Where a part is and how it is turned, from one X-ray of it."""
