//! What the program of a run writes, read stretch by stretch.

use std::time::Duration;

use agentd_schemas::dbus::WorksProxy;
use agentd_schemas::id::{RunId, WorkId};
use agentd_schemas::view::OutputView;

use crate::context::read;
use crate::error::Failure;

/// Bytes of a line that is waited for; a longer one is told in parts.
const MAX_LINE: usize = 8 << 10;

/// A place in what a program writes.
#[derive(Debug, Clone)]
pub(crate) struct Tail {
    work: WorkId,
    attempt: u32,
    stream: &'static str,
    offset: u64,
    run: Option<RunId>,
    /// The beginning of a line whose end has not come.
    begun: String,
}

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// As the daemon told it.
    pub(crate) view: OutputView,
    /// The text.
    pub(crate) text: String,
    /// Whether nothing more will come.
    pub(crate) ended: bool,
}

impl Tail {
    /// Between two looks at a program that wrote nothing.
    pub(crate) const LOOK: Duration = Duration::from_millis(500);

    /// From the beginning of what a run wrote; attempt 0 is the newest, also of those that begin later.
    pub(crate) fn new(work: WorkId, attempt: u32, stream: &'static str) -> Self {
        Self { work, attempt, stream, offset: 0, run: None, begun: String::new() }
    }

    /// The next stretch, perhaps empty.
    pub(crate) async fn next(&mut self, works: &WorksProxy<'_>) -> Result<Stretch, Failure> {
        let view: OutputView =
            read(&works.output(&self.work.to_string(), self.attempt, self.stream, self.offset).await?)?;
        if self.run.is_some_and(|run| run != view.run) {
            // Another attempt has begun: it is read from its beginning.
            (self.run, self.offset) = (Some(view.run), 0);
            let rest = std::mem::take(&mut self.begun);
            return Ok(Stretch { view, text: rest, ended: false });
        }
        (self.run, self.offset) = (Some(view.run), view.next);
        Ok(Stretch { text: view.text.clone(), ended: view.ended, view })
    }

    /// The whole lines that came; none where there is no program to hear of yet.
    pub(crate) async fn lines(&mut self, works: &WorksProxy<'_>) -> Vec<String> {
        let Ok(Stretch { text, ended, .. }) = self.next(works).await else { return Vec::new() };
        self.begun.push_str(&text);
        let until = self.begun.rfind('\n').map(|at| at + 1);
        let whole = if ended || self.begun.len() > MAX_LINE { Some(self.begun.len()) } else { until };
        let Some(whole) = whole else { return Vec::new() };
        let rest = self.begun.split_off(whole);
        std::mem::replace(&mut self.begun, rest).lines().map(str::to_owned).collect()
    }
}
