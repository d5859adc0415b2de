//! keygress itself.
