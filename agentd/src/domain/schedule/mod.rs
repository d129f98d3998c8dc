//! Schedules: when work is due, as pure rules over times handed in.
//!
//! The room knows expressions ([`Expression`]), their ticks in a zone from a start on ([`Timetable`]), what to do with
//! ticks that passed unseen ([`Missed`]) and with ticks whose predecessor is still at work ([`Overlap`]). It is not the
//! timer: it reads no clock and no zone database, and it starts nothing.
//!
//! Invariant: the ticks of one timetable are strictly increasing instants, the same forwards and backwards, whatever the
//! zone does to its clocks.

mod calendar;
mod error;
mod every;
mod expression;
mod fields;
mod missed;
mod overlap;
mod plan;
mod stretch;
mod timetable;

#[cfg(test)]
mod tests;

pub use error::{EveryFault, ExpressionError, FieldFault};
pub use expression::{Expression, MAX_EXPRESSION_BYTES};
pub use fields::Field;
pub use missed::{CatchUp, MAX_CATCH_UP, Missed, ON_TIME};
pub use overlap::{OnTick, Overlap, on_tick};
pub use plan::{
    AddFacts, NewSchedule, REJECTED, ScheduleFacts, ScheduleState, add, pause, prepare, remove, resume, tick,
};
pub use timetable::Timetable;
