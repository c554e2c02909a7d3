//! The real OpenStack of the lab.
