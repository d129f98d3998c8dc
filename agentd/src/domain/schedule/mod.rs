//! Schedules: cron expressions and their ticks.
