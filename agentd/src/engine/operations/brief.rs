//! The host in one line, for the service manager.

use agentd_schemas::problem::Problem;

use crate::engine::Engine;
use crate::ledger::query::host::{MAX_WAITING, waiting};
use crate::policy::Viewer;

impl Engine {
    /// How many runs are under way, and how many works wait for a person. It counts, and names nothing.
    pub fn in_short(&self) -> Result<String, Problem> {
        let runs = self.0.live.all().len();
        let waiting = self.0.readers.with(|conn| Ok::<_, Problem>(waiting(conn, &Viewer::everything())?.len()))?;
        Ok(line(runs, waiting))
    }
}

fn line(runs: usize, waiting: usize) -> String {
    let runs = match runs {
        0 => "no run under way".to_owned(),
        1 => "1 run under way".to_owned(),
        runs => format!("{runs} runs under way"),
    };
    match waiting {
        0 => runs,
        1 => format!("{runs}, 1 work waits for a person"),
        MAX_WAITING => format!("{runs}, {MAX_WAITING} works or more wait for a person"),
        waiting => format!("{runs}, {waiting} works wait for a person"),
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn what_there_is_none_of_is_not_counted() {
        for (runs, waiting, said) in [
            (0, 0, "no run under way"),
            (1, 1, "1 run under way, 1 work waits for a person"),
            (2, 3, "2 runs under way, 3 works wait for a person"),
            (0, 50, "no run under way, 50 works or more wait for a person"),
        ] {
            assert_eq!(line(runs, waiting), said);
        }
    }
}
