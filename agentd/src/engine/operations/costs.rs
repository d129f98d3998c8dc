//! What runs cost.

use agentd_schemas::problem::Problem;
use agentd_schemas::view::{CostFilter, CostRow};

use crate::engine::Engine;
use crate::ledger::open::open_reader;
use crate::ledger::query::cost::{By, cost};
use crate::policy::{Action, Caller};

impl Engine {
    /// Sums up what runs used that the caller may see.
    pub async fn costs(&self, caller: &Caller, filter: CostFilter) -> Result<Vec<CostRow>, Problem> {
        self.list(caller, Action::WorkRead, "works")?;
        let by = By::parse(&filter.by)?;
        let place = self.0.readers.long(caller.uid)?;
        let (database, viewer) = (self.host().state.join("ledger.db"), caller.viewer());
        let summed = tokio::task::spawn_blocking(move || {
            let conn = open_reader(&database).map_err(Problem::internal)?;
            let rows = cost(&conn, &viewer, &by, filter.since_ms)?;
            drop(place);
            Ok(rows)
        });
        summed.await.map_err(Problem::internal)?
    }
}
