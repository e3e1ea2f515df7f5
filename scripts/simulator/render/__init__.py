"""The JSON shapes that upstream answers with."""
