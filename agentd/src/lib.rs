//! agentd: who each agent is, what it may do, what work there was, is and will be, and the proof of it.

pub mod api;
pub mod boot;
pub mod domain;
pub mod engine;
pub mod identity;
pub mod launcher;
pub mod ledger;
pub mod policy;
pub mod runner;
pub mod shim;
pub mod sys;
