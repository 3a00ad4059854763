//! The page that recognises a photo in the browser: this room is still empty.
