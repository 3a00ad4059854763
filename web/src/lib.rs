//! The model as a JavaScript object: this room is still empty.
