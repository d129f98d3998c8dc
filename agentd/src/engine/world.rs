//! The world as the writer sees it: clocks, and the day in the host's zone.

use std::sync::{Arc, Mutex};

use agentd_schemas::unit::time::WallMs;
use jiff::tz::TimeZone;

use super::current::Current;
use crate::domain::Defaults;
use crate::ledger::store::World;
use crate::sys::clock::Clock;

/// Reads the world; the names of day and month are computed once a second.
pub(super) fn reader(
    clock: Clock,
    zone: TimeZone,
    defaults: Arc<Current<Defaults>>,
) -> impl Fn() -> World + Send + 'static {
    let known: Mutex<(i64, String, String)> = Mutex::new((i64::MIN, String::new(), String::new()));
    move || {
        let moment = clock.moment();
        let second = moment.wall_ms.div_euclid(1000);
        let (day, month) = match known.lock() {
            Ok(mut known) => {
                if known.0 != second {
                    let (day, month) = names(moment.wall_ms, &zone);
                    *known = (second, day, month);
                }
                (known.1.clone(), known.2.clone())
            }
            Err(_) => names(moment.wall_ms, &zone),
        };
        World { wall_ms: moment.wall_ms, boot_ms: moment.boot_ms, day, month, defaults: defaults.get() }
    }
}

/// The day and the month of a moment: `2026-11-22`, `2026-11`.
pub(super) fn names(wall_ms: i64, zone: &TimeZone) -> (String, String) {
    let date = WallMs::saturating(wall_ms).timestamp().to_zoned(zone.clone()).date();
    let month = format!("{:04}-{:02}", date.year(), date.month());
    (format!("{month}-{:02}", date.day()), month)
}
