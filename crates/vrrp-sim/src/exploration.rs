//! All histories, not one.
