//! What runs cost: money and tokens as they were settled, compute as the kernel counted it.

use std::collections::BTreeMap;

use agentd_schemas::event::EventData;
use agentd_schemas::id::WorkId;
use agentd_schemas::launch::Usage;
use agentd_schemas::problem::{Code, Problem};
use agentd_schemas::unit::name::LabelKey;
use agentd_schemas::view::CostRow;
use rusqlite::{Connection, Row};

use super::{QueryError, read};
use crate::ledger::load::Loaded;
use crate::policy::Viewer;

/// Classes that are told, the dearest ones.
const MAX_CLASSES: usize = 1000;

/// What is summed up.
pub enum By {
    /// Each work.
    Work,
    /// The agent.
    Agent,
    /// The owner of the work.
    Owner,
    /// The model that the agent was bound to.
    Model,
    /// The value of this label.
    Label(String),
}

impl By {
    /// Reads `work` (also empty), `agent`, `owner`, `model` or `label:KEY`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let refuse = || {
            Problem::new(Code::InvalidDocument, format!("cost cannot be summed up by {text:?}"))
                .hint("work, agent, owner, model or label:KEY")
        };
        Ok(match text {
            "" | "work" => Self::Work,
            "agent" => Self::Agent,
            "owner" => Self::Owner,
            "model" => Self::Model,
            _ => {
                let key = text.strip_prefix("label:").ok_or_else(refuse)?;
                Self::Label(key.parse::<LabelKey>().map_err(|_| refuse())?.to_string())
            }
        })
    }

    /// The columns that name a class.
    fn column(&self) -> &'static str {
        match self {
            Self::Work => "w.id",
            Self::Agent => "a.name",
            Self::Owner => "w.owner",
            Self::Model => "(SELECT idx FROM epochs WHERE agent = r.agent AND epoch = r.epoch)",
            Self::Label(_) => {
                "(SELECT substr(label, length(?4) + 1) FROM labels
                  WHERE work = w.key AND label >= ?4 AND label < ?4 || char(1114111) LIMIT 1)"
            }
        }
    }
}

/// Sums up what the runs used that the viewer may see. It looks at every run since then.
pub fn cost(conn: &Connection, viewer: &Viewer, by: &By, since_ms: i64) -> Result<Vec<CostRow>, QueryError> {
    let sql = format!(
        "SELECT {}, count(*), coalesce(sum(r.outcome = 2), 0), sum(r.spent), max(w.unpriced), sum(r.tokens),
             count(p.ended), coalesce(sum(p.wall_ms), 0), coalesce(sum(p.user_us), 0), coalesce(sum(p.system_us), 0),
             coalesce(max(p.peak_bytes), 0), coalesce(sum(p.read_bytes), 0), coalesce(sum(p.written_bytes), 0)
         FROM runs r JOIN works w ON w.key = r.work JOIN agents a ON a.key = r.agent LEFT JOIN programs p ON p.run = r.key
         WHERE r.claimed_ms >= ?1 AND (?2 OR w.owner = ?3) AND ?4 IS NOT NULL GROUP BY 1",
        by.column()
    );
    let label = match by {
        By::Label(key) => format!("{key}="),
        _ => String::new(),
    };
    let mut statement = conn.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params![since_ms, viewer.all, viewer.uid, label])?;
    let mut classes: BTreeMap<String, CostRow> = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let class = class(row, name(conn, by, row)?)?;
        match classes.entry(class.of.clone()) {
            std::collections::btree_map::Entry::Occupied(mut known) => add(known.get_mut(), &class),
            std::collections::btree_map::Entry::Vacant(free) => drop(free.insert(class)),
        }
    }
    let mut classes: Vec<CostRow> = classes.into_values().collect();
    classes.sort_by_key(|row| std::cmp::Reverse((row.spent.0, row.usage.user_us + row.usage.system_us, row.tokens)));
    classes.truncate(MAX_CLASSES);
    Ok(classes)
}

fn name(conn: &Connection, by: &By, row: &Row<'_>) -> Loaded<String> {
    Ok(match by {
        By::Work => WorkId::from_bytes(row.get(0)?).to_string(),
        By::Owner => row.get::<_, u32>(0)?.to_string(),
        By::Agent | By::Label(_) => row.get::<_, Option<String>>(0)?.unwrap_or_default(),
        By::Model => match row.get::<_, Option<i64>>(0)? {
            None => String::new(),
            Some(index) => {
                let model = match read::event(conn, index)?.data {
                    EventData::AgentEnrolled(data) => data.model,
                    EventData::ModelBound(data) => data.to,
                    EventData::ProbationStarted(data) => data.model,
                    _ => None,
                };
                model.map(|model| format!("{}/{}", model.provider, model.name)).unwrap_or_default()
            }
        },
    })
}

fn class(row: &Row<'_>, of: String) -> rusqlite::Result<CostRow> {
    Ok(CostRow {
        of,
        runs: read::unsigned(row, 1)?,
        completed: read::unsigned(row, 2)?,
        spent: read::usd(row, 3)?,
        unpriced: row.get(4)?,
        tokens: read::unsigned(row, 5)?,
        measured: read::unsigned(row, 6)?,
        usage: Usage {
            wall_ms: read::unsigned(row, 7)?,
            user_us: read::unsigned(row, 8)?,
            system_us: read::unsigned(row, 9)?,
            peak_bytes: read::unsigned(row, 10)?,
            read_bytes: read::unsigned(row, 11)?,
            written_bytes: read::unsigned(row, 12)?,
        },
    })
}

fn add(sum: &mut CostRow, more: &CostRow) {
    sum.runs += more.runs;
    sum.completed += more.completed;
    sum.spent = read::money(sum.spent.0.as_micro().saturating_add(more.spent.0.as_micro()));
    sum.unpriced |= more.unpriced;
    sum.tokens += more.tokens;
    sum.measured += more.measured;
    let (sum, more) = (&mut sum.usage, more.usage);
    sum.wall_ms += more.wall_ms;
    sum.user_us += more.user_us;
    sum.system_us += more.system_us;
    sum.peak_bytes = sum.peak_bytes.max(more.peak_bytes);
    sum.read_bytes += more.read_bytes;
    sum.written_bytes += more.written_bytes;
}
