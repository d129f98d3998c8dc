//! Works and their runs, by the stage of a life.

mod ended;
mod future;
mod judged;
mod money;
mod run;
mod state;

pub use ended::*;
pub use future::*;
pub use judged::*;
pub use money::*;
pub use run::*;
pub use state::*;
