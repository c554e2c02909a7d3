//! The BOSH CPI for OpenStack: one process per call, one JSON object in, one JSON object out.
//!
//! * [`process`] runs a call and answers whatever happens: bad JSON, a panic, SIGTERM.
//! * [`request`], [`response`], [`method`] and [`error`] are the protocol.
//! * [`config`], [`cloud_properties`] and [`network`] turn what people wrote into types. They are pure.
//! * [`methods`] does the work, over [`cloud`]: the client, the undo list, the wish to stop.
//!
//! Behaviour, texts and types are those of the Ruby CPI, which deployments were written for; what goes beyond is
//! what Ruby answered with an error.
#![forbid(unsafe_code)]

pub mod agent_settings;
pub mod cloud;
pub mod cloud_properties;
pub mod command_line;
pub mod config;
pub mod connect;
pub mod error;
pub mod fields;
pub mod interrupt;
pub mod load_balancer;
pub mod metadata;
pub mod method;
pub mod methods;
pub mod network;
pub mod ownership;
pub mod ports;
pub mod process;
pub mod progress;
pub mod registry;
pub mod request;
pub mod reserved_ports;
pub mod response;
pub mod stemcell_archive;
pub mod translate;
pub mod undo;
pub mod unique_name;
pub mod waiting;
