"""The page where a creator connects an account: plain HTML, CSS and JavaScript, and the few calls that it makes."""
