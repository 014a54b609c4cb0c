"""What scripts and browsers reach over HTTP beside the pages: the REST API, sign-in, and the gate before both."""
