"""One HTTP exchange, done safely: deadlines, size caps, no redirects, sent or not, no secrets.

Three kinds of session never mix: that of a paid call, that of the free calls, and one without the
key for uploads and downloads.
"""
