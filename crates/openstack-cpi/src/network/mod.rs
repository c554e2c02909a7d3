//! The networks of a VM: what the request says ([`spec`]), which address pairs go where ([`pairs`]),
//! and what follows from both ([`plan`]). Pure: no request is made here.

pub mod address;
pub mod pairs;
pub mod plan;
pub mod spec;
