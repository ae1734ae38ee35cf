//! Real servers to push to: they answer as they are told, and keep what they were sent.

pub mod certificates;
pub mod http_collector;
pub mod metrics_service;
pub mod scripted_store;
