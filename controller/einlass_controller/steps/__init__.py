"""What each kind of message does to the state: one file a subject, called by the engine in the order of arrival."""
